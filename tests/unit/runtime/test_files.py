"""Files are replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainer.runtime.files import replaced_whole


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
        assert file.read_text() == "old"
    assert file.read_text() == "new"
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
