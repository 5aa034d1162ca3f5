"""The stages of the published folder: each uses what the one before it handed on."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from model_card.schema.report import Report
from space.inference.decision_file import load_decision
from space.inference.predictor import Predictor
from tests.support.small_pictures import small_pictures
from tests.support.small_run import small_config
from trainer.config.run_folder import RunContext
from trainer.config.settings import TrainConfig
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images, prepare_images
from trainer.decision.outputs import HeldOutOutputs
from trainer.decision.temperature import fit_temperature
from trainer.fitting.loop import TrainingResult
from trainer.model import cost, export
from trainer.model.backbone import build
from trainer.model.export import load_exported
from trainer.monitoring.epoch_log import EpochResult
from trainer.publishing.package import build_package
from trainer.synthetic.samples import write_samples

STARTED = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
EPOCH = EpochResult(1, 1e-3, 1.5, 0.3, 1.7, 0.2, 4.0)
FIT = TrainingResult([EPOCH], best_epoch=1, stopped_early=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Images]:
    folder = tmp_path_factory.mktemp("images")
    write_samples(folder / "strips", train_per_class=8, test_per_class=3)
    config = small_config(folder / "strips", folder / "run")
    # Of few known images a limit follows only where many of them may be rejected.
    config = replace(config, decision=replace(config.decision, max_rejected=0.2))
    [images] = prepare_images(config.data, config.run, config.checks.boxes, None)
    return config, images


def recorded_loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Return what `load_exported` is called with from now on."""
    calls = []

    def load(*arguments: Any) -> Predictor:
        calls.append(arguments)
        return load_exported(*arguments)

    monkeypatch.setattr(export, "load_exported", load)
    return calls


@pytest.mark.slow
def test_each_stage_uses_what_the_one_before_it_handed_on(
    prepared: tuple[TrainConfig, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Then the fast engine runs the tests, and PyTorch is what they are compared with below.
    monkeypatch.setattr(cost, "WORTH_CONVERTING", 0)
    config, images = prepared
    torch.manual_seed(0)
    backbone = build(config.model, len(images.labels))
    # Random weights answer the same for every image; these distinguish images.
    head = cast(Any, backbone.model).get_classifier()
    head.weight.data.mul_(100)
    context = RunContext(tmp_path, STARTED, Accelerator(cpu=True))
    loaded = recorded_loads(monkeypatch)
    with small_pictures():
        build_package(config, images, backbone, FIT, context)

    # The checks run where the training ran, by the fast engine.
    assert loaded[-1] == (tmp_path / "published.partial", context.accelerator.device, "auto")
    folder = tmp_path / "published"
    assert not (tmp_path / "published.partial").exists()
    plain = Predictor(folder)
    report = Report.read(folder)
    assert report.test.engine == Predictor(folder, engine="auto").engine.name
    assert report.test.engine != plain.engine.name
    assert report.machine.started == "2026-11-20T09:30:00+00:00"
    assert report.machine.training_seconds == 4
    assert report.export.compared_images == 16
    assert report.export.weights_bytes == (folder / "model.safetensors").stat().st_size

    # Outputs: those of the exported model for the test images, in their order.
    test, validation = images.splits["test"], images.splits["validation"]
    outputs = HeldOutOutputs.load(tmp_path)
    logits = plain.logits([open_image(row) for row in test])
    assert np.allclose(outputs.logits, logits, atol=1e-4)
    assert len(set(logits.argmax(axis=1).tolist())) > 1, (
        "of an answer that never changes nothing follows"
    )
    assert outputs.truth.tolist() == test["label"][:]

    # Decision: fitted to validation images, not to the test.
    decision = load_decision(folder, images.labels)
    assert decision is not None
    assert decision.detector is not None
    fitted = fit_temperature(
        plain.logits([open_image(row) for row in validation]).astype(np.float64),
        np.asarray(validation["label"][:]),
    )
    assert decision.rules.temperature == pytest.approx(fitted, rel=1e-4)
    assert report.reliability is not None
    assert report.reliability.calibration.temperature == decision.rules.temperature
    assert report.reliability.calibration.fitted_images == len(validation)
    assert len(outputs.reference_novelty) == len(validation) + len(images.splits["train"])
    assert outputs.novelty is not None
    assert report.reliability.ood_detection is not None
    assert set(outputs.ood) == {kind.kind for kind in report.reliability.ood_detection.kinds}

    # Evaluation and report: predictions by that decision, of those outputs.
    predictions = decision.conclude(outputs.logits, outputs.novelty)
    with (tmp_path / "predictions.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["file"] for row in rows] == test["file"][:]
    assert [row["prediction"] for row in rows] == [each.label for each in predictions]
    assert [float(row["confidence"]) for row in rows] == pytest.approx(
        [each.confidence for each in predictions], abs=1e-6
    )
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert report.test.scores["accuracy"].value == pytest.approx(right / len(rows))
    unknown = sum(each.verdict == "unknown" for each in predictions) / len(rows)
    assert report.reliability.operating_point.unknown.value == pytest.approx(unknown)
    assert (folder / "README.md").is_file()
