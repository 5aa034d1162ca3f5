"""Files are replaced whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from trainer.runtime.files import complete_folder, replaced_whole


@pytest.mark.parametrize("shared", [False, True])
def test_a_failure_leaves_the_previous_file_and_nothing_else(tmp_path: Path, shared: bool) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), replaced_whole(file, shared=shared) as partial:
        partial.write_text("ne")
        raise KeyboardInterrupt
    assert file.read_text() == "old"
    with replaced_whole(file, shared=shared) as partial:
        partial.write_text("new")
        written = partial.stat().st_ino
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert file.stat().st_ino == written, "a copy would be seen half written"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_processes_that_share_a_file_do_not_write_into_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "features.safetensors"
    with replaced_whole(file, shared=True) as first:
        first.write_text("first, long")
        monkeypatch.setattr(os, "getpid", lambda: 1)
        with replaced_whole(file, shared=True) as second:
            second.write_text("second")
        assert file.read_text() == "second"
    assert file.read_text() == "first, long"
    assert [path.name for path in tmp_path.iterdir()] == ["features.safetensors"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permissions for groups")
def test_files_of_a_finished_folder_can_be_read_as_new_files_can(tmp_path: Path) -> None:
    partial, folder = tmp_path / "published.partial", tmp_path / "published"
    (partial / "onnx").mkdir(parents=True)
    for file in (partial / "model.safetensors", partial / "onnx" / "model.onnx"):
        file.write_bytes(b"weights")
        file.chmod(0o600)
    before = os.umask(0o027)
    try:
        complete_folder(partial, folder)
    finally:
        os.umask(before)
    modes = {
        file.relative_to(folder).as_posix(): stat.S_IMODE(file.stat().st_mode)
        for file in folder.rglob("*.*")
    }
    assert modes == {"model.safetensors": 0o640, "onnx/model.onnx": 0o640}
