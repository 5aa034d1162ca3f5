"""Mistakes on images with boxes, counted by hand."""

from __future__ import annotations

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from model_card.schema.localization import BoxedMistakes
from trainer.data.voc_boxes import Box
from trainer.evaluation.checks.boxed_mistakes import count_mistakes, join

LABELS = ["Patches", "Pitted", "Scratches"]


def box(name: str) -> Box:
    return Box(name, 0, 0, 0.5, 0.5)


def test_a_mistake_that_names_a_box_of_the_image_is_counted_apart() -> None:
    test = Dataset.from_dict(
        {"file": [f"{n}.jpg" for n in range(7)], "label": [0, 0, 1, 1, 2, 2, 2]},
        features=Features(file=Value("string"), label=ClassLabel(names=LABELS)),
    )
    boxes = {
        "0.jpg": [box("patches")],
        "1.jpg": [box("patches"), box("pitted_surface")],
        "2.jpg": [box("pitted_surface"), box("patches")],
        "3.jpg": [box("pitted_surface"), box("rust")],
        # Only another class is marked: still two classes.
        "4.jpg": [box("patches")],
        "5.jpg": [],
    }
    answers = ["Patches", "Pitted", "Scratches", "Patches", "Patches", "Pitted", "Pitted"]
    found = count_mistakes(boxes, test, answers)
    assert found == BoxedMistakes(images=5, several=3, mistakes=4, present=2)
    other = BoxedMistakes(images=20, several=7, mistakes=6, present=1)
    assert join([found, other]) == BoxedMistakes(images=25, several=10, mistakes=10, present=3)


def test_counts_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="contradict each other"):
        BoxedMistakes(images=9, several=1, mistakes=2, present=3)
