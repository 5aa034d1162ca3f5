"""Things are added as docs/architecture.md says: in the named files, and in no other."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
from huggingface_hub import ModelCard

from model_card.card import render_card, write_card
from model_card.metrics import METRICS, WILSON, Metric
from model_card.schema.report import Report
from space.inference.decision import Prediction
from space.model_report import read_report
from space.ui import page
from tests.support.reports import example_report
from trainer.evaluation.metrics import definitions
from trainer.evaluation.metrics.intervals import proportion
from trainer.evaluation.scores import score

LABELS = ["good", "scratch"]
# Nine images of the first class, one of which is taken for the second, and seven of the second, of
# which two are taken for the first.
CONFUSION = [[8, 1], [2, 5]]
# Of the images that are not predicted as a class, the share that is not of it.
PREDICTIVE = Metric(
    name="negative_predictive_value",
    title="Negative predictive value",
    meaning="share of correct images among those not assigned to a class",
    interval=WILSON,
    mean_of_classes=True,
    hub_id="npv",
    hub_name="NPV (macro)",
    on_hub=False,
)


def classified() -> tuple[datasets.Dataset, list[Prediction]]:
    """Return images and predictions with the counts of `CONFUSION`."""
    pairs = [(i, j) for i in range(2) for j in range(2) for _ in range(CONFUSION[i][j])]
    split = datasets.Dataset.from_dict(
        {
            "label": [true for true, _ in pairs],
            "file": [f"{number}.png" for number in range(len(pairs))],
            "group": list(range(len(pairs))),
        },
        features=datasets.Features(
            label=datasets.ClassLabel(names=LABELS),
            file=datasets.Value("string"),
            group=datasets.Value("int64"),
        ),
    )
    sure = np.linspace(0.6, 0.9, len(pairs))
    predictions = [
        Prediction({LABELS[j]: float(p), LABELS[1 - j]: float(1 - p)})
        for (_, j), p in zip(pairs, sure, strict=True)
    ]
    return split, predictions


def test_a_metric_reaches_report_card_hub_and_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(
        definitions.FROM_COUNTS, PREDICTIVE.name, lambda tn, fp, fn, tp: proportion(tn, tn + fn)
    )
    monkeypatch.setitem(METRICS, PREDICTIVE.name, PREDICTIVE)
    example_report(CONFUSION, LABELS, test=score(*classified(), images_per_second=10)).write(
        tmp_path
    )
    report = Report.read(tmp_path)
    assert report.metrics[-1] == PREDICTIVE
    # Not predicted as good are 6 images, of which 5 are not good; as scratch 10, of which 8.
    value = report.test.scores[PREDICTIVE.name].value
    assert value == pytest.approx((5 / 6 + 8 / 10) / 2)
    by_class = [each.scores[PREDICTIVE.name].value for each in report.test.classes]
    assert by_class == pytest.approx([5 / 6, 8 / 10])

    write_card(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    [result] = [r for r in card.data.eval_results or [] if r.metric_type == "npv"]
    assert (result.metric_name, result.metric_value) == ("NPV (macro)", round(value, 4))
    shown = card.text.replace("\u00a0", " ")
    assert shown.count("| Negative predictive value |") == 3
    assert "| 81.7 %<br>" in shown
    assert "| 83.3 %<br>" in shown
    assert f"| {PREDICTIVE.meaning} | {WILSON} |" in shown

    table = page.scores_table(read_report(tmp_path))
    assert f"{PREDICTIVE.title}<small>{PREDICTIVE.meaning}</small></th><td>81.7&nbsp;%" in table


def test_a_report_without_the_new_metric_is_shown_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = example_report()
    card = render_card(old)
    monkeypatch.setitem(METRICS, PREDICTIVE.name, PREDICTIVE)
    content = old.model_dump(mode="json")
    assert render_card(Report.model_validate(content)) == card
    del content["metrics"]
    assert render_card(Report.model_validate(content)) == card
