"""What the page of an inspection shows first, and where its findings lead."""

from __future__ import annotations

import re
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from PIL import Image

from tests.unit.inspection.test_findings import FEEDBACK, report
from tests.unit.inspection.test_pictures import pair
from trainer.data.splits.overlap_groups import SharedSurface, Surfaces
from trainer.inspection import page
from trainer.inspection.inspector import _leakage
from trainer.inspection.page import Photographs
from trainer.inspection.report.schema import DataReport, Group
from trainer.text.web_page import environment

SPLITS = {"1": "train", "2": "train", "3": "train", "4": "test"}


class Drawn(Photographs):
    """Images that are all alike."""

    def open(self, file: str) -> Image.Image:
        return Image.new("L", (40, 20))

    def size_px(self, file: str) -> tuple[int, int]:
        return 40, 20


def shared(one: str, other: str, area: float, similarity: float, **more: Any) -> SharedSurface:
    facts = {"shared_area": area, "similarity": similarity, **more}
    return pair(one, other, 0, 0, 9).model_copy(update=facts)


SMALL, LARGE = shared("1", "2", 0.2, 0.7), shared("1", "3", 0.9, 0.8)
CLASSES, LEAK = shared("2", "3", 0.3, 0.9, label_b="B"), shared("3", "4", 0.1, 0.6)


def contents(whole: DataReport) -> dict[str, Any]:
    images: Any = None
    return page._contents(whole, Drawn(images, {}, SPLITS))


def test_pairs_across_splits_come_first_then_those_across_classes_then_large_ones() -> None:
    shown = contents(report(pairs=[SMALL, LARGE, CLASSES, LEAK], groups=[GROUP]))
    assert shown["ranked"] == [LEAK, CLASSES, LARGE, SMALL]
    # The images of the smallest pair are in other pairs already.
    assert [each.pair for each in shown["worst"]] == [LEAK, CLASSES, LARGE]
    assert not any(each.texture_a for each in shown["worst"])
    assert [each.pair for each in shown["weakest"]] == [SMALL]
    assert shown["weakest"][0].texture_a


GROUP = Group(files=["1", "2", "3", "4"], labels=["A", "B"])


def test_the_least_similar_of_the_other_pairs_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "WORST_PAIRS", 1)
    monkeypatch.setattr(page, "WEAKEST_PAIRS", 2)
    shown = contents(report(pairs=[LARGE, CLASSES, SMALL, LEAK], groups=[GROUP]))
    assert [each.pair for each in shown["weakest"]] == [SMALL, LARGE]


def test_groups_are_counted_by_their_size() -> None:
    """Of 1,200 images, two pairs, one group of four and one of 52."""
    groups = [Group(files=[str(n) for n in range(size)], labels=["A"]) for size in (52, 4, 2, 2)]
    assert page._group_sizes(report(groups=groups)) == [
        ("1", 1140, 1140),
        ("2", 2, 4),
        ("3–5", 1, 4),
        ("51–52", 1, 52),
    ]


def test_a_test_image_leaks_from_validation_too() -> None:
    """Of the three later images, one overlaps training and one validation alone."""
    files = {"train": ["1"], "validation": ["2", "3"], "test": ["4"]}
    splits = DatasetDict({name: Dataset.from_dict({"file": own}) for name, own in files.items()})
    surfaces = Surfaces([SMALL, LEAK], dict.fromkeys("1234", 0))
    found = [(each.split, each.seen_in, each.images) for each in _leakage(splits, surfaces)]
    assert found == [("validation", "training", 1), ("test", "training or validation", 1)]


def test_each_finding_leads_to_its_section_under_one_heading() -> None:
    two = Group(files=["3", "4"], labels=["A"])
    whole = report(pairs=[LEAK], groups=[two], feedback=FEEDBACK, layout_problems=["Empty."])
    html = (
        environment("trainer.inspection").get_template("page.html.jinja").render(**contents(whole))
    )
    sections = re.findall(r'<section id="(\w+)"[^>]*>\s*<h2>', html)
    assert set(re.findall(r'href="#(\w+)"', html)) <= set(sections)
    assert "feedback" in sections
    assert len(sections) == html.count("<h2") == html.count("<section")
    assert "Corrections of c.png contradict: A, B" in html
