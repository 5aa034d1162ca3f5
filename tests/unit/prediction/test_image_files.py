"""Files, folders, patterns and lists on the command line become one list of images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainer.errors import ConfigError
from trainer.prediction.image_files import list_images


def touch(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"content")


def test_folders_are_searched_by_name_and_system_files_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "b/2.png", "b/1.JPG", "a/x/3.tif", "c.bmp", ".hidden/4.png", "a/Thumbs.db")
    touch(tmp_path, "a/notes.txt")
    with caplog.at_level("INFO"):
        found = list_images([str(tmp_path)], [])
    assert [file.place for file in found] == ["c.bmp", "a/x/3.tif", "b/1.JPG", "b/2.png"]
    assert found[0].path == found[0].name == str(tmp_path / "c.bmp")
    assert "1 file" in caplog.text and "a/notes.txt" in caplog.text


def test_files_keep_their_order_and_come_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "in/2.png", "in/1.png", "in/3.dat")
    found = list_images(["in/3.dat", "in/2.png", "in", "in/2.png"], [])
    assert [file.name for file in found] == ["in/3.dat", "in/2.png", "in/1.png"]


def test_patterns_reach_into_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "coil1/top/1.png", "coil2/top/2.png", "coil2/side/3.png", "[x]/4.png")
    assert [f.name for f in list_images(["coil*/top"], [])] == [
        "coil1/top/1.png",
        "coil2/top/2.png",
    ]
    assert [f.name for f in list_images(["**/3.png"], [])] == ["coil2/side/3.png"]
    # A folder that exists is no pattern.
    assert [f.name for f in list_images(["[x]"], [])] == ["[x]/4.png"]


def test_a_list_on_stdin_may_name_missing_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a/1.png")
    found = list_images(["-"], ["gone.png\n", "\n", "a\r\n"])
    assert [(f.name, f.trouble) for f in found] == [
        ("gone.png", "the file does not exist"),
        ("a/1.png", None),
    ]


def test_wrong_paths_are_reported_together(tmp_path: Path) -> None:
    touch(tmp_path, "1.png")
    with pytest.raises(ConfigError, match=r"no file or folder .*gone, .*x\*\.png"):
        list_images([str(tmp_path), str(tmp_path / "gone"), str(tmp_path / "x*.png")], [])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no images"):
        list_images([str(tmp_path / "empty")], [])


def test_what_can_not_be_read_stays_in_the_list(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone")
    (tmp_path / "empty.png").touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "loop").symlink_to(tmp_path)
    found = {file.place: file.trouble for file in list_images([str(tmp_path)], [])}
    assert found == {
        "pipe.png": "a pipe (FIFO), not a file",
        "broken.png": "a link to a file that is not there",
        "empty.png": "the file is empty",
    }


def test_names_that_are_not_utf8_become_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"stra\xdfe.png")
    (tmp_path / name).write_bytes(b"content")
    [file] = list_images([str(tmp_path)], [])
    assert file.path.endswith(name)
    assert file.name.endswith("stra\\xdfe.png")
    file.name.encode()
