"""What a leaderboard reads of a finished run: by hand on two folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model_card.schema.base import Score
from model_card.schema.report import Report
from tests.support.extra_facts import example_robustness
from tests.support.reports import example_cross_validation, example_machine, example_report
from tests.unit.comparison.test_leaderboard import board, result
from trainer.compare_models import CompareConfig, _command_line
from trainer.comparison import cost
from trainer.comparison.cost import COST_FILE, Cost, measured_cost
from trainer.comparison.network_result import NetworkResult
from trainer.comparison.page import _bar
from trainer.config.groups import ChecksConfig
from trainer.config.recipe import RecipeConfig
from trainer.config.run_folder import PUBLISHED_DIR
from trainer.config.settings import TrainConfig
from trainer.data.splits.split import SPLIT_FILE
from trainer.errors import DataError
from trainer.evaluation.metrics.intervals import proportion
from trainer.evaluation.scores import PREDICTIONS_FILE
from trainer.model.cost import forward_operations

COST = Cost(gmacs=0.5, ms=3, engine="OpenVINO", processor="CPU")


def write_report(report: Report, run_dir: Path) -> None:
    (run_dir / PUBLISHED_DIR).mkdir(parents=True)
    report.write(run_dir / PUBLISHED_DIR)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Two folds of two test images; an image of one is for training in the other."""
    folds = example_cross_validation()
    whole = example_report()
    assert folds.reliability is not None
    write_report(whole.model_copy(update={"cross_validation": folds}), tmp_path)
    for number, tested in ((1, ("b", "c")), (2, ("a", "d"))):
        fold = tmp_path / f"fold-{number}"
        machine = example_machine(training_seconds=100.0 * number)
        write_report(whole.model_copy(update={"machine": machine}), fold)
        rows = [
            # The group of a file, as this fold numbers them.
            f"{file}.png,A,{10 * number + place},{'test' if file in tested else 'train'}"
            for place, file in enumerate("abcd")
        ]
        (fold / SPLIT_FILE).write_text("\n".join(["file,label,group,split", *rows]))
    predictions = ("d.png,A,A", "a.png,A,A", "c.png,A,B", "b.png,B,B")
    (tmp_path / PREDICTIONS_FILE).write_text("\n".join(["file,label,prediction", *predictions]))
    return tmp_path


def read(run_dir: Path) -> NetworkResult:
    return NetworkResult.read("net", run_dir, RecipeConfig(), ["no heatmaps"], COST)


def test_images_of_all_folds_with_their_pieces_and_hits(run_dir: Path) -> None:
    found = read(run_dir)
    assert found.files == ["a.png", "b.png", "c.png", "d.png"]
    assert found.groups == [20, 11, 12, 23]
    np.testing.assert_array_equal(found.hits, [True, True, False, True])
    assert found.facts.training_seconds == 300
    assert (found.facts.model, found.facts.folder) == ("net", run_dir.name)
    assert found.facts.missing == ["no heatmaps"]


def test_facts_are_those_of_all_folds(run_dir: Path) -> None:
    report = Report.read(run_dir / PUBLISHED_DIR)
    folds = report.cross_validation
    assert folds is not None
    assert folds.reliability is not None
    ood = folds.reliability.ood_detection
    assert ood is not None
    kinds = [
        kind.model_copy(update={"images": images, "auroc": auroc})
        for kind, images, auroc in zip(ood.kinds[:2], (10, 30), (0.5, 0.9), strict=True)
    ]
    agreement = folds.reliability.calibration.after.model_copy(update={"ece": 0.03125})
    reliability = folds.reliability.model_copy(
        update={
            "ood_detection": ood.model_copy(update={"kinds": kinds}),
            "calibration": folds.reliability.calibration.model_copy(update={"after": agreement}),
        }
    )
    robustness = example_robustness(40, 30)
    first = robustness.kinds[0]
    lowest = first.steps[-1].model_copy(update={"accuracy": proportion(5, 40)})
    worst = first.model_copy(update={"steps": [*first.steps[:-1], lowest]})
    robustness = robustness.model_copy(update={"kinds": [worst, *robustness.kinds[1:]]})
    folds = folds.model_copy(update={"reliability": reliability, "robustness": robustness})
    report.model_copy(update={"cross_validation": folds}).write(run_dir / PUBLISHED_DIR)
    facts = read(run_dir).facts
    assert facts.ece == 0.03125
    # Each image counts once.
    assert facts.ood_auroc == pytest.approx((10 * 0.5 + 30 * 0.9) / 40)
    assert facts.worst_corruption is not None
    assert facts.worst_corruption.name == first.name
    assert facts.worst_corruption.accuracy.value == 5 / 40


def test_a_file_that_is_missing_is_named(run_dir: Path) -> None:
    (run_dir / PREDICTIONS_FILE).unlink()
    with pytest.raises(DataError, match=f"{PREDICTIONS_FILE}.*Remove that folder"):
        read(run_dir)


def test_an_interval_is_drawn_on_the_axis_of_all_rows() -> None:
    one, other = result("one", 0), result("other", 20)
    shown = board(one, other)
    scores = [Score(value=0.7, low=0.6, high=0.9), Score(value=0.5, low=0.4, high=0.65)]
    rows = [
        row.model_copy(update={"accuracy": score})
        for row, score in zip(shown.rows, scores, strict=True)
    ]
    shown = shown.model_copy(update={"rows": rows})
    assert _bar(rows[0], shown) == pytest.approx({"left": 40, "width": 60, "value": 60})
    assert _bar(rows[1], shown) == pytest.approx({"left": 0, "width": 50, "value": 20})


@pytest.mark.slow
def test_the_cost_of_an_image_is_measured_once_on_each_machine(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tmp_path / "run/published"
    published.parent.mkdir()
    published.symlink_to(package)
    operations = []

    def counted(*arguments: object) -> int:
        operations.append(forward_operations(*arguments))  # type: ignore[arg-type]
        return operations[-1]

    monkeypatch.setattr(cost, "forward_operations", counted)
    monkeypatch.setattr(cost, "median_seconds", lambda *_: 0.0125)
    monkeypatch.setattr(cost, "_processor", lambda: "slow CPU")
    found = measured_cost(published)
    assert (found.ms, found.processor) == (12.5, "slow CPU")
    # A multiply-add is two operations.
    assert found.gmacs == operations[0] / 2 / 1e9
    assert measured_cost(published) == found
    assert len(operations) == 1
    monkeypatch.setattr(cost, "_processor", lambda: "fast CPU")
    assert measured_cost(published).processor == "fast CPU"
    assert len(operations) == 2
    assert Cost.model_validate_json((tmp_path / "run" / COST_FILE).read_bytes()).ms == 12.5


@pytest.mark.parametrize("images", [24, 0, 120])
def test_the_command_that_repeats_a_comparison_names_no_folder_of_weights(images: int) -> None:
    config = CompareConfig(
        models=("convnext_atto", "test_vit=/mnt/w.safetensors"),
        train=TrainConfig(checks=ChecksConfig(robustness_images=images)),
    )
    command = _command_line(config)
    assert command.startswith(
        "python trainer/compare_models.py --models convnext_atto test_vit=w.safetensors"
    )
    # Its default is not that of train.py, whose options these are.
    assert command.count(f"--robustness-images {images}") == 1
    assert command.count("--robustness-images") == 1
