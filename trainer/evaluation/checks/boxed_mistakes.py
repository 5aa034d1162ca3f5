"""Tell a mistake that names another defect of the image from one that names nothing there.

An image has one label, but its boxes may mark defects of several classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import datasets

from model_card.schema.localization import BoxedMistakes
from trainer.data.voc_boxes import Box, match_class, read_boxes
from trainer.evaluation.checks.check import Check, CheckedModel


def count_mistakes(
    boxes: Mapping[str, Sequence[Box]], test: datasets.Dataset, predicted: Sequence[str]
) -> BoxedMistakes:
    """Count the mistakes on images with boxes.

    Args:
        boxes: by file; images without any are not counted.
        test: the test images.
        predicted: class of each test image.
    """
    labels = test.features["label"].names
    images = several = mistakes = present = 0
    for file, label, answer in zip(test["file"][:], test["label"][:], predicted, strict=True):
        if not boxes.get(file):
            continue
        shown = {match_class(box.name, labels) for box in boxes[file]} - {None}
        images += 1
        several += len(shown | {labels[label]}) > 1
        if answer != labels[label]:
            mistakes += 1
            present += answer in shown
    return BoxedMistakes(images=images, several=several, mistakes=mistakes, present=present)


def join(folds: Sequence[BoxedMistakes]) -> BoxedMistakes:
    """Add up the folds of a cross-validation."""
    names = BoxedMistakes.model_fields
    return BoxedMistakes(**{name: sum(getattr(fold, name) for fold in folds) for name in names})


def _measure(model: CheckedModel) -> BoxedMistakes | None:
    if not model.boxes:
        return None
    boxes = read_boxes(model.boxes, model.test["file"][:])
    return count_mistakes(boxes, model.test, [each.label for each in model.predictions])


CHECK = Check(_measure, join)
