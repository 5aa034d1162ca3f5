"""Paths that options name: each has to be there, and of the right kind."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from trainer.config.groups import (
    ChecksConfig,
    DecisionConfig,
    ModelConfig,
    RunConfig,
)
from trainer.config.paths import check_paths, file_problems, folder_problems, output_problems
from trainer.config.settings import TrainConfig
from trainer.errors import ConfigError


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A folder with one of each kind of thing."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "good_file").symlink_to("file")
    (tmp_path / "good_folder").symlink_to("folder")
    return tmp_path


BAD = {
    "pipe": "is a pipe",
    "socket": "is a socket",
    "device": "is a device",
    "link": "does not exist: the link is broken",
    "loop": "can't be read",
    "missing": "does not exist",
    "file/below": "can't be read",
    "x" * 300: "can't be read",
    "a\0b": "can't be read",
}


@pytest.mark.parametrize(("name", "words"), [*BAD.items(), ("folder", "is a folder; a file is")])
def test_no_file(places: Path, name: str, words: str) -> None:
    [problem] = file_problems("--split-file", places / name)
    assert problem.startswith("--split-file ")
    assert words in problem
    assert len(problem) < 300


@pytest.mark.parametrize(("name", "words"), [*BAD.items(), ("file", "is a file; a folder is")])
def test_no_folder(places: Path, name: str, words: str) -> None:
    [problem] = folder_problems("--boxes", places / name)
    assert words in problem


def test_files_and_folders_that_are_there(places: Path) -> None:
    assert not [*file_problems("--weights", places / "file")]
    assert not [*file_problems("--weights", places / "good_file")]
    assert not [*folder_problems("--boxes", places / "good_folder")]
    assert not [*file_problems("--weights", None), *folder_problems("--boxes", None)]
    assert not [*output_problems("--output-dir", places / "folder/new/deeper")]
    [problem] = output_problems("--output-dir", places / "file/new")
    assert "is not a folder" in problem


def test_no_right_to_read(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests' own user may be root, whom no mode keeps out.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    for problems in (file_problems("--weights", places / "file"), folder_problems("--b", places)):
        [problem] = problems
        assert "no permission" in problem


def test_all_paths_of_a_run_are_checked_at_once(places: Path) -> None:
    config = TrainConfig(
        model=ModelConfig(weights=places / "missing"),
        decision=DecisionConfig(ood_dir=places / "file"),
        checks=ChecksConfig(boxes=places / "pipe"),
        run=RunConfig(cache_dir=places / "file"),
    )
    config = replace(config, data=replace(config.data, split_file=places / "folder"))
    with pytest.raises(ConfigError) as caught:
        check_paths(config)
    flags = [line.split()[0] for line in str(caught.value).splitlines()]
    assert flags == ["--split-file", "--weights", "--ood-dir", "--boxes", "--cache-dir"]
    check_paths(TrainConfig(run=RunConfig(cache_dir=places / "new")))
