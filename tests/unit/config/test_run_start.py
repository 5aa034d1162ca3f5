"""When a run started: noted once, kept by a resume, never guessed from a damaged file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from accelerate import Accelerator

from trainer import run
from trainer.config.run_folder import (
    STARTED_FILE,
    check_entries,
    note_resume,
    note_start,
    read_start,
    remove_leftovers,
)
from trainer.config.settings import TrainConfig
from trainer.errors import ConfigError, DataError


def test_a_start_is_read_as_it_was_noted(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    note_start(tmp_path)
    assert before <= read_start(tmp_path) <= datetime.now(UTC)
    assert [path.name for path in tmp_path.iterdir()] == [STARTED_FILE]


def test_a_resume_keeps_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    earlier = datetime.now(UTC) - timedelta(days=3)
    (tmp_path / STARTED_FILE).write_text(earlier.isoformat())
    note_resume(tmp_path)
    assert read_start(tmp_path) == earlier
    assert not caplog.messages


def test_a_run_without_a_start_is_resumed_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = datetime.now(UTC)
    note_resume(tmp_path)
    assert read_start(tmp_path) >= before
    assert "the report will say that the run started now" in caplog.text


@pytest.mark.parametrize("content", [b"", b"yesterday", b"2026-11-26T09:30:00", b"\xff\xfe", b"0"])
def test_a_damaged_start_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STARTED_FILE).write_bytes(content)
    note_resume(tmp_path)
    with pytest.raises(DataError, match=r"started\.txt does not say .*: it holds no time\. Remove"):
        read_start(tmp_path)


def test_a_folder_in_its_place_is_reported(tmp_path: Path) -> None:
    (tmp_path / STARTED_FILE).mkdir()
    with pytest.raises(ConfigError, match=r"started\.txt is not a file"):
        check_entries(tmp_path)


def test_a_new_start_removes_the_former_one(tmp_path: Path) -> None:
    note_start(tmp_path)
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_place_of_a_file_is_named_before_images_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_too_early(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(run, "_prepare", read_too_early)
    (tmp_path / "best.safetensors").mkdir()
    accelerator = Accelerator(cpu=True)
    with pytest.raises(ConfigError, match=r"best\.safetensors is not a file"):
        run._train_in(tmp_path, TrainConfig(), accelerator, None)
