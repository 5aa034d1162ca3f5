"""Which folder or Hub dataset `--data-dir` names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.config.groups import DataConfig
from trainer.data.folders.location import Source, find_sources
from trainer.errors import DataError


@pytest.fixture(autouse=True)
def _in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(*data_dir: str) -> str:
    with pytest.raises(DataError) as caught:
        find_sources(DataConfig(data_dir=data_dir))
    return str(caught.value)


@pytest.mark.parametrize("name", ["custom_dateset", "custom_dataset"])
def test_both_spellings_are_default_folders(name: str) -> None:
    Path(name).mkdir()
    assert find_sources(DataConfig()) == [Source(name, "folder", name)]


def test_two_default_folders_are_refused() -> None:
    Path("custom_dateset").mkdir()
    Path("custom_dataset").mkdir()
    message = refusal()
    assert "custom_dateset and custom_dataset" in message
    assert "--data-dir" in message


def test_without_a_folder_images_are_drawn_later() -> None:
    assert find_sources(DataConfig()) == [Source("drawn_samples", "drawn", "drawn_samples")]
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("exists", "named"),
    [
        ("custom_dateset", "custom_dataset"),
        ("steel/images", "./steel/imgaes"),
        ("Steel", "steel"),
        ("steel/data/train", "./stel/data/train"),
    ],
)
def test_a_mistyped_folder_is_suggested(exists: str, named: str) -> None:
    Path(exists).mkdir(parents=True)
    wanted = next(part for part in Path(exists).parts if part not in Path(named).parts)
    assert f"Did you mean {wanted}?" in refusal(named)


def test_no_suggestion_where_nothing_is_like_it() -> None:
    Path("photos").mkdir()
    assert "Did you mean" not in refusal("custom_dataset")


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("", "--data-dir is empty"),
        ("a\0b", r"no folder a\x00b"),
        ("x" * 5000, "can't be a folder"),
        ("~nobody-at-all/images", "can't be a folder"),
        ("my photos/steel", "no folder my photos/steel"),
        ("https://huggingface.co/datasets/ada/steel", "USER/NAME"),
        ("K\udcfcr", r"K\xfcr is not UTF-8. Rename the folder"),
        ("gone", "link to a folder that is not there"),
        ("file", "is a file"),
        ("evil\x1b[31m", r"evil\x1b[31m"),
    ],
)
def test_what_is_no_folder(named: str, words: str) -> None:
    Path("gone").symlink_to("nowhere")
    Path("file").touch()
    message = refusal(named)
    assert words in message
    assert "\x1b" not in message
    assert "\0" not in message


def test_a_folder_that_nobody_may_read(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("steel").mkdir()

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    assert "steel can't be read: Permission denied" in refusal("steel")


@pytest.mark.parametrize(
    ("folder", "name"),
    [("neu/images", "neu"), ("Coil 7/DATA", "Coil 7"), ("neu/photographs", "photographs")],
)
def test_a_source_is_called_by_a_folder_that_says_something(
    tmp_path: Path, folder: str, name: str
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    [source] = find_sources(DataConfig(data_dir=(str(tmp_path / folder),)))
    assert source.name == name


def test_a_dataset_on_the_hub() -> None:
    assert find_sources(DataConfig(data_dir=("ada/steel-2",))) == [
        Source("ada/steel-2", "hub", "ada/steel-2")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["trainer.data.folders.location", "trainer.data.folders.scan"])
def test_no_heavy_library_is_imported(module: str) -> None:
    script = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert not {"torch", "datasets", "PIL", "sklearn"} & set(done.stdout.split())
