"""Curves for TensorBoard and trackio: each epoch once, though the run was stopped half-way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.small_run import going_on, small_config, train_until
from trainer.config.groups import RunConfig
from trainer.config.settings import TrainConfig
from trainer.errors import ConfigError
from trainer.monitoring import tracking
from trainer.monitoring.epoch_log import METRICS
from trainer.monitoring.tracking import PROJECT, TENSORBOARD_DIR, check_tracker
from trainer.run import train
from trainer.synthetic.samples import write_samples

CURVES = {
    "loss/train": "train_loss",
    "loss/validation": "validation_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/validation": "validation_accuracy",
    "lr": "lr",
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "strips"
    write_samples(folder, train_per_class=4, test_per_class=2)
    return folder


def _config(data_dir: Path, run_dir: Path, log_with: Any, **recipe: Any) -> TrainConfig:
    config = small_config(data_dir, run_dir, **recipe)
    return replace(config, run=replace(config.run, log_with=log_with))


def _train_with_a_stop(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train, press Ctrl-C in the second of three epochs, and go on."""
    train_until(4, config, monkeypatch)
    train(going_on(config))


def _log(run_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run_dir / METRICS).read_text().splitlines()]


def _scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Read TensorBoard's files as TensorBoard does."""
    from tensorboard.backend.event_processing.event_accumulator import (  # noqa: PLC0415
        EventAccumulator,
    )

    events = EventAccumulator(str(folder)).Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def test_tensorboard_holds_each_epoch_once(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _train_with_a_stop(_config(data_dir, tmp_path / "run", "tensorboard"), monkeypatch)
    found = _scalars(tmp_path / "run" / TENSORBOARD_DIR)
    log = _log(tmp_path / "run")
    assert [line["epoch"] for line in log] == [1, 2, 3]
    for curve, name in CURVES.items():
        assert [step for step, _ in found[curve]] == [1, 2, 3]
        values = [value for _, value in found[curve]]
        assert values == pytest.approx([line[name] for line in log], rel=1e-6)
    assert all(value > 0 for _, value in found["images_per_second"])
    [settings] = (tmp_path / "run" / TENSORBOARD_DIR).glob("*/hparams.yml")
    assert "lr: 0.001\n" in settings.read_text()
    assert not [f for f in (tmp_path / "run/published").rglob("*") if "tfevents" in f.name]


def test_each_fold_has_its_own_curves(data_dir: Path, tmp_path: Path) -> None:
    config = _config(data_dir, tmp_path / "run", "tensorboard", epochs=2)
    train(replace(config, data=replace(config.data, folds=2)))
    for fold in ("fold-1", "fold-2"):
        found = _scalars(tmp_path / "run" / fold / TENSORBOARD_DIR)["loss/train"]
        expected = [line["train_loss"] for line in _log(tmp_path / "run" / fold)]
        assert [step for step, _ in found] == [1, 2]
        assert [value for _, value in found] == pytest.approx(expected, rel=1e-6)
    assert not (tmp_path / "run" / TENSORBOARD_DIR).exists()


def test_trackio_holds_each_epoch_once(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # The nightly workflow installs it in a job of its own (see pyproject.toml).
    reason = "trackio is not installed: pip install -e '.[trackio]'"
    storage = pytest.importorskip("trackio.sqlite_storage", reason=reason)
    running = pytest.importorskip("trackio.context_vars").current_run
    _train_with_a_stop(_config(data_dir, tmp_path / "run", "trackio"), monkeypatch)
    assert capfd.readouterr().out == "", "stdout is for data"
    # What is not finished speaks once more when the program ends.
    assert running.get() is None
    [run] = storage.SQLiteStorage.get_runs(PROJECT)
    assert run.startswith(f"{tmp_path.name}/run ")
    points, log = storage.SQLiteStorage.get_logs(PROJECT, run), _log(tmp_path / "run")
    assert [point["step"] for point in points] == [1, 2, 3]
    for curve, name in CURVES.items():
        assert [point[curve] for point in points] == [line[name] for line in log]


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    for name in ("tensorboard", "trackio"):
        with pytest.raises(ConfigError, match=f"pip install {name}$"):
            check_tracker(RunConfig(log_with=name))
    check_tracker(RunConfig())


def test_trackio_may_not_send_the_curves_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: name)
    check_tracker(RunConfig(log_with="trackio"))
    monkeypatch.setenv("TRACKIO_SPACE_ID", "ada/curves")
    with pytest.raises(ConfigError, match=r"TRACKIO_SPACE_ID is set.*Unset it"):
        check_tracker(RunConfig(log_with="trackio"))
    check_tracker(RunConfig(log_with="tensorboard"))
