"""Example images: test images that the web page offers to try."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from space.inference.predictor import Prediction
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images
from trainer.publishing.report.shared_images import EXAMPLES_DIR

# The number that the web page shows (space/model_report.py).
MAX_EXAMPLES = 12
# A file name has at most 255 bytes, including a number and the suffix.
LONGEST_NAME_BYTES = 200


def write_examples(images: Images, predictions: list[Prediction], folder: Path) -> None:
    """Write one test image per class for the web page."""
    (folder / EXAMPLES_DIR).mkdir(exist_ok=True)
    test = images.splits["test"]
    truth = test["label"][:]
    taken: set[str] = set()
    for row in choose_examples(truth, images.labels, predictions):
        name = _file_name(images.labels[truth[row]], taken)
        open_image(test[row]).save(folder / EXAMPLES_DIR / f"{name}.png")


def _file_name(label: str, taken: set[str]) -> str:
    """Return a unique file name for a class, without suffix, and add it to `taken`.

    A class name may not be a valid file name, or differ from another one only in such characters.
    """
    printable = re.sub(r"[^\w\- ]", "_", label)
    name = cut = printable.encode()[:LONGEST_NAME_BYTES].decode(errors="ignore")
    numbers = count(2)
    while name.casefold() in taken:
        name = f"{cut}_{next(numbers)}"
    taken.add(name.casefold())
    return name


def choose_examples(
    truth: Sequence[int], labels: Sequence[str], predictions: Sequence[Prediction]
) -> list[int]:
    """Choose one test image per class, so that together they show what the model does.

    Each is the first of its class that is classified correctly and automatically, with one
    exception: the class that is left to a person most often shows such an image. If there are more
    classes than examples, that class and others at equal distances are chosen.

    Returns:
        a row for each chosen class, in order; the first of the class if no row meets the rule.
    """
    by_class: dict[int, list[int]] = {index: [] for index in range(len(labels))}
    for row, label in enumerate(truth):
        by_class[label].append(row)
    reviewed = {
        index: [row for row in rows if predictions[row].verdict != "class"]
        for index, rows in by_class.items()
    }
    hardest = max(by_class, key=lambda index: len(reviewed[index]) / len(by_class[index]))

    def correct(row: int) -> bool:
        return predictions[row].label == labels[truth[row]]

    chosen = []
    for index in _spread(len(labels), hardest):
        rows = by_class[index]
        good = [row for row in rows if predictions[row].verdict == "class" and correct(row)]
        if index == hardest and reviewed[index]:
            # An unsure prediction shows more than a rejected image; prefer a correct class.
            good = sorted(
                reviewed[index],
                key=lambda row: (predictions[row].verdict != "unsure", not correct(row)),
            )
        chosen.append((good or rows)[0])
    return chosen


def _spread(classes: int, wanted: int) -> list[int]:
    """Return the indices of at most MAX_EXAMPLES classes, in order and including `wanted`."""
    if classes <= MAX_EXAMPLES:
        return list(range(classes))
    spread = [round(step * (classes - 1) / (MAX_EXAMPLES - 1)) for step in range(MAX_EXAMPLES)]
    nearest = min(spread, key=lambda index: abs(index - wanted))
    return sorted({*spread, wanted} - ({nearest} - {wanted}))
