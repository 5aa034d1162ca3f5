"""What a run finds out about the trust its answers deserve, and what it publishes of that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from PIL import Image
from scipy.special import softmax

from model_card.schema.report import Report
from space.inference.decision_file import load_decision
from space.inference.drift.baseline import BASELINE_FILE, Baseline
from space.inference.model_folder import ModelFolder
from space.inference.predictor import Predictor, read_image
from tests.support.published_folder import noise
from tests.support.small_run import small_config
from trainer.config.groups import DecisionConfig
from trainer.config.paths import check_paths
from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import prepare_images
from trainer.decision.conformal import conformal_quantile
from trainer.decision.outputs import OUTPUTS_FILE, HeldOutOutputs
from trainer.decision.temperature import fit_temperature
from trainer.errors import ConfigError, DataError
from trainer.evaluation import ood_images
from trainer.evaluation.folds import fold_outcomes
from trainer.run import train
from trainer.synthetic.samples import write_samples

COSTS = {"cost_missed": 3.0, "cost_false_alarm": 1.0, "cost_review": 2.5}
TEST_IMAGES = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn images, and others that show none of the classes."""
    folder = tmp_path_factory.mktemp("reliability")
    write_samples(folder / "strips", train_per_class=12, test_per_class=4)
    (folder / "wood").mkdir()
    for seed in range(5):
        noise(seed).save(folder / "wood" / f"{seed}.png")
    return folder


def _config(folder: Path, run_dir: Path, *, folds: int = 0, **decision: object) -> TrainConfig:
    config = small_config(folder / "strips", run_dir, epochs=2, lr=3e-3)
    settings = DecisionConfig(**COSTS | decision)  # type: ignore[arg-type]
    return replace(config, data=replace(config.data, folds=folds), decision=settings)


@pytest.fixture(scope="module")
def published(folder: Path) -> Path:
    result = train(_config(folder, folder / "run", ood_dir=folder / "wood"))
    AcceleratorState._reset_state(reset_partial_state=True)
    return result


def _test_images(folder: Path) -> list[Image.Image]:
    return [read_image(file) for file in sorted((folder / "strips" / "test").rglob("*.png"))]


def test_the_decision_is_published(published: Path) -> None:
    for name in ("decision.json", "decision.safetensors", "figures/novelty.png"):
        assert (published / name).is_file()
    card = (published / "README.md").read_text(encoding="utf-8")
    assert "### Confidence and decisions" in card
    for name in ("reliability", "novelty", "risk_coverage"):
        assert f"(figures/{name}.png)" in card


def test_the_report_holds_what_the_predictor_says(folder: Path, published: Path) -> None:
    reliability = Report.read(published).reliability
    assert reliability is not None
    predictor = Predictor(published)
    said = predictor.predict(_test_images(folder))
    point = reliability.operating_point
    for verdict, share in (("unsure", point.unsure.value), ("unknown", point.unknown.value)):
        assert sum(p.verdict == verdict for p in said) == round(share * TEST_IMAGES)
    assert reliability.sets.mean_size == pytest.approx(np.mean([len(p.candidates) for p in said]))
    assert (point.cost_missed, point.cost_false_alarm, point.cost_review) == (3, 1, 2.5)
    assert reliability.ood_detection is not None
    kinds = {kind.kind: kind for kind in reliability.ood_detection.kinds}
    assert list(kinds)[-1] == "folder wood"
    shown = {"folder wood": [noise(seed) for seed in range(5)], **ood_images.drawn_images(seed=0)}
    for kind in ("folder wood", "text"):
        refused = sum(p.verdict == "unknown" for p in predictor.predict(shown[kind]))
        assert kinds[kind].images == len(shown[kind])
        assert kinds[kind].rejected.value == pytest.approx(refused / len(shown[kind]))


def test_the_limit_follows_from_training_and_validation_images(published: Path) -> None:
    report = Report.read(published)
    assert report.reliability is not None
    unknown = report.reliability.ood_detection
    assert unknown is not None
    known = sum(split.images for split in report.data.splits if split.name != "test")
    assert unknown.reference_images == known == 72
    outputs = HeldOutOutputs.load(published.parent)
    refused = (outputs.reference_novelty > unknown.limit).sum()
    assert refused <= 0.02 * known
    assert {kind.label for kind in unknown.left_out} == set(report.model.labels)
    assert unknown.network_saw_left_out


def test_probabilities_are_calibrated_everywhere(published: Path) -> None:
    predictor = Predictor(published)
    assert predictor.decision is not None
    outputs = HeldOutOutputs.load(published.parent)
    logits = outputs.logits.astype(np.float64) / predictor.decision.rules.temperature
    lines = (published.parent / "predictions.csv").read_text(encoding="utf-8").splitlines()[1:]
    written = [[float(cell) for cell in line.split(",")[4:]] for line in lines]
    assert written == [pytest.approx(row, abs=1e-6) for row in softmax(logits, axis=1).tolist()]


def test_folds_are_decided_by_the_rules_of_the_others(folder: Path) -> None:
    config = _config(folder, folder / "folds", folds=3)
    result = train(config)
    report = Report.read(result)
    dirs = [folder / "folds" / f"fold-{number}" for number in (1, 2, 3)]
    outputs = [HeldOutOutputs.load(fold_dir) for fold_dir in dirs]
    logits = np.concatenate([found.logits.astype(np.float64) for found in outputs[1:]])
    truth = np.concatenate([found.truth for found in outputs[1:]])
    other = fit_temperature(logits, truth)
    assert report.reliability is not None
    assert report.reliability.calibration.temperature == pytest.approx(other)
    assert report.reliability.calibration.fitted_on == "other folds"
    assert report.reliability.calibration.fitted_images == len(truth)
    # The baseline is of the refitted rules, too.
    baseline = ModelFolder(result).read_json(BASELINE_FILE, Baseline)
    point = report.reliability.operating_point
    assert baseline.shares().get("unsure", 0) == pytest.approx(point.unsure.value)
    assert baseline.shares().get("unknown", 0) == pytest.approx(point.unknown.value)
    of_fold = ModelFolder(dirs[0] / "published").read_json(BASELINE_FILE, Baseline)
    assert baseline.images == of_fold.images
    assert baseline.confidence != of_fold.confidence
    modes = {(result / name).stat().st_mode for name in ("decision.safetensors", "README.md")}
    assert len(modes) == 1
    published = Predictor(result).decision
    assert published is not None
    assert published.detector is not None, "64 images of the other folds are enough for a limit"
    assert published.rules.temperature == pytest.approx(other)
    # Each fold measures novelty in its own unit, which is its limit.
    limits = []
    for fold_dir in dirs:
        own = load_decision(fold_dir / "published", report.model.labels)
        assert own is not None
        assert own.rules.novelty_limit is not None
        limits.append(own.rules.novelty_limit)
    relative = []
    for found, own_limit in zip(outputs[1:], limits[1:], strict=True):
        assert found.novelty is not None
        relative.append(found.novelty.astype(np.float64) / own_limit)
    limit = conformal_quantile(np.concatenate(relative), config.decision.max_rejected)
    assert published.rules.novelty_limit == pytest.approx(limit * limits[0])
    assert report.cross_validation is not None
    together = report.cross_validation.reliability
    assert together is not None
    assert sum(c.images for c in together.sets.classes) == sum(len(e.truth) for e in outputs)
    assert "Confidence and decisions of all folds" in (result / "README.md").read_text(
        encoding="utf-8"
    )
    (dirs[1] / OUTPUTS_FILE).unlink()
    with pytest.raises(DataError, match=r"fold-2.*outputs\.safetensors is missing"):
        fold_outcomes(dirs, prepare_images(config.data, config.run, None, None), config.decision)


def test_with_too_few_images_nothing_is_rejected(folder: Path, tmp_path: Path) -> None:
    """48 known images can't promise that at most 2 % are refused."""
    result = train(_config(folder, tmp_path / "run", folds=2))
    report = Report.read(result)
    assert report.cross_validation is not None
    for reliability in (report.reliability, report.cross_validation.reliability):
        assert reliability is not None
        assert reliability.ood_detection is None
    assert not (result / "decision.safetensors").exists()
    assert not (result / "figures/novelty.png").exists()
    assert {p.verdict for p in Predictor(result).predict([noise(0)])} <= {"class", "unsure"}
    card = (result / "README.md").read_text(encoding="utf-8")
    assert "This model does not detect OOD images" in card


def test_rejection_can_be_left_out(folder: Path, tmp_path: Path) -> None:
    result = train(_config(folder, tmp_path / "run", reference_images=0))
    reliability = Report.read(result).reliability
    assert reliability is not None
    assert reliability.ood_detection is None
    assert reliability.calibration.fitted_images > 0
    assert not (result / "decision.safetensors").exists()


def test_what_can_not_work_is_reported_before_the_training(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"--ood-dir .*empty holds no images"):
        train(_config(folder, tmp_path / "run", ood_dir=tmp_path / "empty"))
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    with pytest.raises(ConfigError, match="--no-defect Fine: there is no such class"):
        train(_config(folder, tmp_path / "again", no_defect="Fine"))
    with pytest.raises(ConfigError, match=r"--ood-dir .*nowhere does not exist"):
        check_paths(_config(folder, tmp_path / "run", ood_dir=tmp_path / "nowhere"))
