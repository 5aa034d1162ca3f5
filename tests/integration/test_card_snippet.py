"""The example in the card, copied and pasted, makes the decision of the published model."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from timm.data import resolve_model_data_config

from model_card.card import render_card
from model_card.schema.report import Report
from space.inference.core.decision import Costs, Decision, Rules
from space.inference.core.novelty import MahalanobisDetector, StageStatistics
from space.inference.decision_file import save_decision
from space.inference.predictor import Prediction, Predictor
from tests.support.reliability_facts import example_operating_point, example_reliability
from tests.support.reports import LABELS, example_model, example_report
from trainer.model.export import write_model

STAGES = [1, 2]
TEMPERATURE = 0.25


def _image(height: int, width: int) -> Image.Image:
    generator = torch.Generator().manual_seed(height * width)
    pixels = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)
    return Image.fromarray(pixels.numpy())


def _detector(predictor: Predictor, image: Image.Image) -> MahalanobisDetector:
    """Return a detector with a random metric, and classes at different distances of the image."""
    torch.manual_seed(1)
    statistics = predictor.observe([image], STAGES).statistics
    stages = {}
    for stage, described in zip(STAGES, statistics, strict=True):
        count = described.shape[1]
        stages[stage] = StageStatistics(
            centre=torch.randn(count).numpy(),
            whiten=torch.randn(count, count - 3).numpy() / count,
            classes=torch.randn(len(LABELS), count - 3).numpy(),
        )
    return MahalanobisDetector(stages)


def _published(folder: Path, image: Image.Image, *, tiled: bool) -> MahalanobisDetector:
    torch.manual_seed(0)
    model = timm.create_model("test_convnext", num_classes=len(LABELS)).eval()
    data_config = resolve_model_data_config(model) | {"crop_mode": "squash", "crop_pct": 1.0}
    write_model(model, data_config, LABELS, folder, tile=tiled)
    image.save(folder / "image.png")
    return _detector(Predictor(folder), image)


def _decide(
    folder: Path, image: Image.Image, costs: Costs, detector: MahalanobisDetector, limit: float
) -> Prediction:
    """Publish the decision rules; return the prediction of the published folder."""
    rules = Rules(
        labels=LABELS,
        temperature=TEMPERATURE,
        coverage=0.9,
        least_probability=0.1,
        costs=costs,
        novelty_limit=limit,
    )
    save_decision(Decision(rules, detector), folder)
    [prediction] = Predictor(folder).predict([image])
    return prediction


def _report(costs: Costs, limit: float, *, tiled: bool) -> Report:
    """Return a report with these rules."""
    facts = example_reliability(LABELS).model_dump()
    facts["calibration"]["temperature"] = TEMPERATURE
    facts["ood_detection"] |= {"stages": STAGES, "limit": limit}
    facts["operating_point"] = example_operating_point(
        cost_missed=costs.missed,
        cost_false_alarm=costs.false_alarm,
        cost_review=costs.review,
        no_defect=costs.no_defect,
    )
    return example_report(model=example_model(tiled=tiled), reliability=facts)


def _printed(report: Report, capsys: pytest.CaptureFixture[str]) -> str:
    code = render_card(report).split("```python\n")[1].split("```")[0]
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})  # noqa: S102 -- our own code
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("size", "tiled"), [((90, 120), False), ((90, 430), True), ((310, 90), True)]
)
def test_the_example_makes_the_decision_of_the_published_folder(
    tmp_path: Path,
    size: tuple[int, int],
    tiled: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = _image(*size)
    detector = _published(tmp_path, image, tiled=tiled)
    monkeypatch.chdir(tmp_path)
    costs = Costs(missed=20, false_alarm=2, review=1, no_defect=None)
    first = _decide(tmp_path, image, costs, detector, 1.0)
    assert first.novelty is not None
    wrong = 1 - first.confidence
    other = next(label for label in LABELS if label != first.label)
    verdicts = set()
    # Just below and just above each threshold.
    for shift in (0.999, 1.001):
        for no_defect in (None, first.label, other):
            mean_cost = sum(
                p
                * Costs(missed=20, false_alarm=2, review=1, no_defect=no_defect)
                .matrix(LABELS)[LABELS.index(label), LABELS.index(first.label)]
                .item()
                for label, p in first.probabilities.items()
            )
            costs = Costs(missed=20, false_alarm=2, review=mean_cost * shift, no_defect=no_defect)
            for limit in (first.novelty * 0.999, first.novelty * 1.001):
                prediction = _decide(tmp_path, image, costs, detector, limit)
                verdicts.add(prediction.verdict)
                decision = prediction.label if prediction.verdict == "class" else prediction.verdict
                assert _printed(_report(costs, limit, tiled=tiled), capsys) == (
                    f"{decision} (most probable: {first.label}, {1 - wrong:.1%})\n"
                )
    assert verdicts == {"class", "unsure", "unknown"}


def test_without_detection_or_rules_the_example_still_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = _image(70, 80)
    _published(tmp_path, image, tiled=False)
    monkeypatch.chdir(tmp_path)
    [plain] = Predictor(tmp_path).predict([image])
    printed = _printed(example_report(reliability=None), capsys)
    assert printed == f"{plain.label}: {plain.confidence:.1%}\n"
    reliability = example_reliability(LABELS, ood_detection=None)
    assert _printed(example_report(reliability=reliability), capsys).startswith("unsure (most pro")
