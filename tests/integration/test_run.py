"""What a finished run leaves: the folder that is published, and what it must not hold."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from sklearn import metrics
from timm.data import create_transform, resolve_model_data_config

from model_card.schema.report import Report
from tests.support.small_run import going_on, small_config
from trainer.data import sources
from trainer.monitoring.epoch_log import BEST
from trainer.run import train
from trainer.synthetic.samples import CLASSES, draw_image, write_samples

IMAGE_FIGURES = {"classes.png", "sample_predictions.png", "augmentations.png", "heatmaps.png"}
DATA_NAME = "strips"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secret-place") / DATA_NAME
    write_samples(folder, train_per_class=6, test_per_class=3)
    return folder


@pytest.fixture(scope="module")
def published(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("secret-place") / "run"
    folder = train(small_config(data_dir, run_dir, lr=3e-3, epochs=4))
    AcceleratorState._reset_state(reset_partial_state=True)
    return folder


def _files(folder: Path) -> set[str]:
    return {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}


def test_a_run_on_a_processor_keeps_freed_memory(
    data_dir: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[bool] = []
    monkeypatch.setattr("trainer.run.system.keep_freed_memory", lambda: called.append(True))
    # It is finished, so that nothing else is done.
    config = small_config(data_dir, published.parent, lr=3e-3, epochs=4)
    assert train(going_on(config)) == published
    assert called == [] if torch.cuda.is_available() else [True]


def test_published_files_are_these_and_no_others(published: Path) -> None:
    assert _files(published) == {
        "model.safetensors",
        "config.json",
        "README.md",
        "report.json",
        # Nothing is known of so few images that could refuse others: no tensors.
        "decision.json",
        "baseline.json",
        "figures/reliability.png",
        "figures/risk_coverage.png",
        "figures/confusion_matrix.png",
        "figures/learning_curves.png",
        "figures/roc_curves.png",
    }
    assert not list(published.parent.glob("*.partial"))


def test_images_of_a_folder_stay_in_the_run_folder(published: Path) -> None:
    assert {f.name for f in (published.parent / "figures").iterdir()} == IMAGE_FIGURES
    assert not Report.read(published).data.images_shared


def test_config_describes_the_preprocessing(published: Path) -> None:
    config = json.loads((published / "config.json").read_text())
    assert config["architecture"] == "test_convnext"
    assert config["label_names"] == sorted(CLASSES)
    assert config["num_classes"] == 6
    settings = config["pretrained_cfg"]
    assert settings["input_size"] == [3, 32, 32]
    assert (settings["crop_mode"], settings["crop_pct"]) == ("squash", 1.0)
    own = resolve_model_data_config(timm.create_model("test_convnext"))
    assert (settings["mean"], settings["std"]) == (list(own["mean"]), list(own["std"]))


def test_no_local_path_is_published(published: Path, data_dir: Path) -> None:
    for file in published.rglob("*"):
        if file.is_file():
            raw = file.read_bytes()
            for secret in ("secret-place", str(data_dir), str(Path.home()) + "/"):
                assert secret.encode() not in raw, file.name
    report = Report.read(published)
    assert report.data.source == DATA_NAME
    assert f"--data-dir {DATA_NAME}" in report.training.command


def test_weights_are_those_of_the_best_epoch(published: Path) -> None:
    weights = load_file(published / "model.safetensors")
    best = load_file(published.parent / BEST)
    assert weights.keys() == best.keys()
    assert all(torch.equal(weights[name], best[name]) for name in weights)
    assert all(tensor.dtype == torch.float32 for tensor in weights.values())


def test_reloaded_folder_computes_the_kept_weights(published: Path) -> None:
    rebuilt = timm.create_model("test_convnext", num_classes=6).eval()
    rebuilt.load_state_dict(load_file(published.parent / BEST))
    reloaded = timm.create_model(f"local-dir:{published}", pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(reloaded), is_training=False)
    batch = torch.stack([transform(draw_image(label, 7).convert("RGB")) for label in CLASSES])
    assert batch.shape == (6, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(reloaded(batch), rebuilt(batch))
    export = Report.read(published).export
    assert export.compared_images == 16
    assert export.largest_logit_difference <= 1e-5
    weights = (published / "model.safetensors").stat()
    assert export.weights_bytes == weights.st_size
    assert weights.st_mode == (published / "README.md").stat().st_mode


def test_report_equals_the_predictions(published: Path) -> None:
    report = Report.read(published)
    labels = report.model.labels
    with (published.parent / "predictions.csv").open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    truth = np.asarray([labels.index(row["label"]) for row in rows])
    probabilities = np.asarray([[float(row[label]) for label in labels] for row in rows])
    predicted = probabilities.argmax(axis=1)
    assert [labels[p] for p in predicted] == [row["prediction"] for row in rows]
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert {row["file"].split("/")[1] for row in rows} == set(CLASSES)
    assert all(row["file"].startswith(f"test/{row['label']}/") for row in rows)

    test = report.test
    assert test.images == len(rows) == 18
    assert test.confusion == metrics.confusion_matrix(truth, predicted, labels=range(6)).tolist()
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, predicted, average="macro", zero_division=0.0
    )
    areas = [metrics.roc_auc_score(truth == c, probabilities[:, c]) for c in range(6)]
    expected = {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "error_rate": 1 - metrics.accuracy_score(truth, predicted),
        "precision": precision,
        "sensitivity": recall,
        "f1": f1,
        "specificity": np.mean(
            [metrics.recall_score(truth != c, predicted != c) for c in range(6)]
        ),
        "auc": np.mean(areas),
    }
    for name, value in expected.items():
        assert test.scores[name].value == pytest.approx(value), name
    assert [result.scores["auc"].value for result in test.classes] == pytest.approx(areas)
    wrong = {row["file"] for row in rows if row["label"] != row["prediction"]}
    assert {mistake.file for mistake in test.mistakes} == wrong
    confidences = [mistake.confidence for mistake in test.mistakes]
    assert len(set(confidences)) > 1
    assert confidences == sorted(confidences, reverse=True)


def test_report_holds_data_and_training(published: Path) -> None:
    report = Report.read(published)
    assert {split.name: split.images for split in report.data.splits} == {
        "train": 27,
        "validation": 9,
        "test": 18,
    }
    log = [json.loads(x) for x in (published.parent / "metrics.jsonl").read_text().splitlines()]
    assert [epoch.validation_loss for epoch in report.training.epochs] == [
        line["validation_loss"] for line in log
    ]
    best = max(log, key=lambda line: (line["validation_accuracy"], -line["validation_loss"]))
    assert [epoch.epoch for epoch in report.training.epochs if epoch.published] == [best["epoch"]]
    assert log[-1]["train_loss"] < log[0]["train_loss"]
    assert report.machine.precision == "float32"
    assert report.machine.processes == 1
    assert report.model.weights_origin == "random"


def test_shared_images_and_bfloat16(data_dir: Path, tmp_path: Path) -> None:
    config = small_config(
        data_dir, tmp_path / "run", epochs=1, publish_images=True, mixed_precision="bf16"
    )
    folder = train(config)
    report = Report.read(folder)
    assert report.machine.precision == "bf16 mixed precision"
    assert report.data.images_shared
    assert {f"figures/{name}" for name in IMAGE_FIGURES} <= _files(folder)
    assert {f"examples/{label}.png" for label in CLASSES} <= _files(folder)
    assert not (tmp_path / "run/figures").exists()
    weights = load_file(folder / "model.safetensors")
    assert all(tensor.dtype == torch.float32 for tensor in weights.values())


def test_drawn_images_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "DRAWN_TRAIN_PER_CLASS", 4)
    monkeypatch.setattr(sources, "DRAWN_TEST_PER_CLASS", 2)
    folder = train(small_config(None, Path("run"), epochs=1))
    report = Report.read(folder)
    assert report.data.kind == "drawn"
    assert report.data.images_shared
    assert {f"examples/{label}.png" for label in CLASSES} <= _files(folder)
    assert {f"figures/{name}" for name in IMAGE_FIGURES} <= _files(folder)
