"""Test images that are published for visitors of the web page to try."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from space.inference.predictor import Prediction
from trainer.data.sources import open_image
from trainer.data.splits.dataset import Images
from trainer.publishing.shared_images import EXAMPLES_DIR

# As many as the web page shows (space/model_report.py).
MAX_EXAMPLES = 12
# A file name has 255 bytes at most; a number and the suffix follow.
LONGEST_NAME_BYTES = 200


def write_examples(images: Images, predictions: list[Prediction], folder: Path) -> None:
    """Write test images for the web page to offer with the model's verdict, one a class."""
    (folder / EXAMPLES_DIR).mkdir(exist_ok=True)
    test = images.parts["test"]
    truth = test["label"][:]
    taken: set[str] = set()
    for row in choose_examples(truth, images.labels, predictions):
        name = _file_name(images.labels[truth[row]], taken)
        open_image(test[row]).save(folder / EXAMPLES_DIR / f"{name}.png")


def _file_name(label: str, taken: set[str]) -> str:
    """Return a file name for a class, without suffix, and add it to those that are taken.

    A class may have a name that no file can have, or that reads like another one as a file name.
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
    """Choose a test image of each class, so that all together show what the model does.

    Each is the first of its class that is answered correctly and without a person, but for one:
    the class that is left to a person most often shows an image that is. Of more classes than the
    web page shows examples, that one and others at equal distances are chosen.

    Returns:
        a row for each chosen class, in their order; the first one where no other will do.
    """
    own: dict[int, list[int]] = {index: [] for index in range(len(labels))}
    for row, label in enumerate(truth):
        own[label].append(row)
    left = {
        index: [row for row in rows if predictions[row].verdict != "class"]
        for index, rows in own.items()
    }
    hardest = max(own, key=lambda index: len(left[index]) / len(own[index]))

    def correct(row: int) -> bool:
        return predictions[row].label == labels[truth[row]]

    chosen = []
    for index in _spread(len(labels), hardest):
        rows = own[index]
        good = [row for row in rows if predictions[row].verdict == "class" and correct(row)]
        if index == hardest and left[index]:
            # An unsure answer shows more than a refused image; its class should be right, too.
            good = sorted(
                left[index],
                key=lambda row: (predictions[row].verdict != "unsure", not correct(row)),
            )
        chosen.append((good or rows)[0])
    return chosen


def _spread(classes: int, wanted: int) -> list[int]:
    """Return the numbers of at most MAX_EXAMPLES classes, `wanted` among them, in order."""
    if classes <= MAX_EXAMPLES:
        return list(range(classes))
    spread = [round(step * (classes - 1) / (MAX_EXAMPLES - 1)) for step in range(MAX_EXAMPLES)]
    nearest = min(spread, key=lambda index: abs(index - wanted))
    return sorted({*spread, wanted} - ({nearest} - {wanted}))
