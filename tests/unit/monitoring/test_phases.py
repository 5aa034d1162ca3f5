"""Phases are numbered over the whole command, and announced once."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from trainer.config.groups import DataConfig
from trainer.config.settings import TrainConfig
from trainer.monitoring.phases import Phase, Phases, run_phases

RUN = [Phase(name) for name in ("check", "compare", "train", "test", "card")]


@pytest.fixture
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trainer")


@pytest.mark.usefixtures("_heard")
def test_phases_are_numbered_and_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    phases = Phases()
    phases.plan(RUN)
    assert caplog.messages == ["1/5 check"], "at once, before anything is imported"
    # The comparison is in the cache, and is passed over.
    for name in ("check", "train", "test", "card"):
        phases.start(name)
    assert caplog.messages == ["1/5 check", "3/5 train", "4/5 test", "5/5 card"]


@pytest.mark.usefixtures("_heard")
def test_what_is_not_planned_passes_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    phases = Phases()
    phases.start("train")
    phases.plan([])
    phases.start("train")
    assert caplog.messages == []
    assert phases.left("train") == 0


@pytest.mark.usefixtures("_heard")
def test_folds_are_counted_and_finished_ones_left_out(caplog: pytest.LogCaptureFixture) -> None:
    phases = Phases()
    phases.plan([Phase(n, f"fold {f} of 3") for f in (1, 2, 3) for n in ("train", "test", "card")])
    phases.skip("test", "card", "train", "test", "card")
    assert phases.left("train") == 1
    phases.start("train")
    assert phases.left("train") == 0
    assert caplog.messages == ["1/9 train (fold 1 of 3)", "7/9 train (fold 3 of 3)"]


def _names(config: TrainConfig, detail: str = "") -> list[str]:
    return [str(phase) for phase in run_phases(config.data, config.run.run_dir, detail)]


def test_phases_of_a_folder_of_photographs(tmp_path: Path) -> None:
    config = TrainConfig(data=DataConfig(data_dir=str(tmp_path)))
    assert _names(config) == ["check", "compare", "train", "test", "card"]


def test_phases_of_drawn_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = TrainConfig()
    assert _names(config) == ["draw", "check", "train", "test", "card"]
    Path("drawn_samples").mkdir()
    assert _names(config) == ["check", "train", "test", "card"]


def test_phases_of_folds_and_of_several_runs(tmp_path: Path) -> None:
    config = TrainConfig(data=DataConfig(data_dir=str(tmp_path), folds=2))
    assert _names(config) == [
        *("check", "compare"),
        *("train (fold 1 of 2)", "test (fold 1 of 2)", "card (fold 1 of 2)"),
        *("train (fold 2 of 2)", "test (fold 2 of 2)", "card (fold 2 of 2)"),
        "join",
    ]
    config = replace(config, data=replace(config.data, folds=0))
    assert _names(config, "random split")[2] == "train (random split)"
    config = replace(config, data=replace(config.data, folds=2))
    assert _names(config, "random split")[4:] == [
        "card (random split, fold 1 of 2)",
        "train (random split, fold 2 of 2)",
        "test (random split, fold 2 of 2)",
        "card (random split, fold 2 of 2)",
        "join (random split)",
    ]
