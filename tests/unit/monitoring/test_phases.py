"""Phases are numbered over the whole command, and announced once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from trainer import push, run
from trainer.config.groups import DataConfig
from trainer.config.run_folder import RunContext
from trainer.config.settings import TrainConfig
from trainer.monitoring.phases import PHASES, Phase, Phases, run_phases

RUN = [Phase(name) for name in ("check", "compare", "train", "test", "card")]


@pytest.fixture
def _heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO, "trainer")
    yield
    PHASES.plan([])


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
    config = TrainConfig(data=DataConfig(data_dir=(str(tmp_path),)))
    assert _names(config) == ["check", "compare", "train", "test", "card"]


def test_phases_of_drawn_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = TrainConfig()
    assert _names(config) == ["draw", "check", "train", "test", "card"]
    Path("drawn_samples").mkdir()
    assert _names(config) == ["check", "train", "test", "card"]


def test_phases_of_folds_and_of_several_runs(tmp_path: Path) -> None:
    config = TrainConfig(data=DataConfig(data_dir=(str(tmp_path),), folds=2))
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


@pytest.mark.usefixtures("_heard")
def test_finished_folds_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "fold-1").mkdir()
    monkeypatch.setattr(
        run, "finished_folder", lambda folder: folder if folder.name == "fold-1" else None
    )
    monkeypatch.setattr(run, "check_published", lambda folder: None)
    monkeypatch.setattr("trainer.training.train_on", lambda *_: PHASES.start("train"))
    monkeypatch.setattr("trainer.publishing.folds.publish", lambda *_, **__: None)
    context = RunContext(tmp_path, MagicMock(), MagicMock())
    names = ("train", "test", "card")
    folds = [Phase(name, f"fold {fold} of 2") for fold in (1, 2) for name in names]
    PHASES.plan([Phase("check"), *folds])
    run._cross_validate(TrainConfig(), [MagicMock(), MagicMock()], context)
    assert caplog.messages == ["1/7 check", "5/7 train (fold 2 of 2)"]


@pytest.mark.usefixtures("_heard")
def test_what_follows_an_upload_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`make demo` serves the model next."""
    monkeypatch.setenv("NEXT_PHASE", "serve")
    monkeypatch.setattr(push, "check_settings", lambda config: None)
    monkeypatch.setattr(push, "trained_folder", lambda config: tmp_path)
    monkeypatch.setattr("trainer.cli.summary.summary", lambda *_, **__: "")
    push.main(["--run-dir", str(tmp_path / "run"), "--data-dir", str(tmp_path)])
    assert caplog.messages == ["1/6 check", "6/6 serve"]
