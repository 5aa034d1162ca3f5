"""A card of several sources: images, commits, what is left out, and the accuracy on each."""

from __future__ import annotations

from model_card.card import render_card
from model_card.schema.base import Score
from model_card.schema.run.data import DataSource
from model_card.schema.run.test_result import SourceResult
from tests.support.reports import example_report


def test_each_source_is_stated() -> None:
    report = example_report()
    tests = [
        SourceResult(
            source="pl|ant",
            images=report.test.images - 4,
            accuracy=Score(value=0.9, low=0.81, high=0.97),
        ),
        SourceResult(source="ada/b", images=4, accuracy=Score(value=0.75, low=0.31, high=0.95)),
    ]
    sources = [
        DataSource(
            name="pl|ant",
            kind="folder",
            revision=None,
            images={"train": 11, "test": 3},
            left_out={"Dirt": 7, "Oil": 1},
        ),
        DataSource(
            name="ada/b", kind="hub", revision="0123456789abcdef", images={"train": 5}, left_out={}
        ),
    ]
    facts = {"sources": sources, "unshared": {"Pitted": 13}}
    changes = {
        "test": report.test.model_copy(update={"sources": tests}),
        "data": report.data.model_copy(update=facts),
    }
    card = render_card(report.model_copy(update=changes)).replace("\u00a0", " ")
    card = card.replace("\u2060", "")
    rows = [
        f"| pl&#124;ant | {report.test.images - 4} | 90.0 % | 81.0–97.0 % |",
        "| ada/b | 4 | 75.0 % | 31.0–95.0 % |",
        "| pl&#124;ant | folder | 11 | 0 | 3 | 7 images of Dirt, 1 image of Oil |",
        "| ada/b | hub, commit 0123456789ab | 5 | 0 | 0 |  |",
        "13 images of Pitted were left out: a source has none.",
        "datasets:\n- ada/b\n",
    ]
    assert [row for row in rows if row not in card] == []
    alone = render_card(report)
    assert "Accuracy by source" not in alone
    assert "| Source |" not in alone
