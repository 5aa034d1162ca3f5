"""All defects of an image: its class and those of its boxes, for models that name several."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from datasets import Dataset, DatasetDict

from model_card.formatting import counted
from trainer.data.voc_boxes import Box, match_class, read_boxes
from trainer.errors import DataError
from trainer.text.names import printable

logger = logging.getLogger(__name__)

# Of a split: the sorted class indices of the defects of each image; its own class is one of them.
COLUMN = "defects"


def with_defects(splits: DatasetDict, folders: Mapping[str, Path]) -> DatasetDict:
    """Add the column of defects; an image without boxes shows its own class alone.

    Args:
        splits: with the columns `file` and `label`.
        folders: of boxes, as `read_boxes` takes them.

    Raises:
        DataError: there are no boxes, one names no class, or no image shows several classes.
    """
    if not folders:
        raise DataError(
            "--multi-label needs the defects of each image: there are no boxes beside the images. "
            "Name their folder with --boxes, <stem>.xml for <stem>.jpg (Pascal VOC)."
        )
    files = [file for split in splits.values() for file in split["file"][:]]
    boxes = read_boxes(folders, files)
    labels: list[str] = next(iter(splits.values())).features["label"].names
    numbers = _class_numbers(boxes, labels)
    marked = DatasetDict()
    for name, split in splits.items():
        defects = [
            sorted({label, *(numbers[box.name] for box in boxes.get(file, []))})
            for file, label in zip(split["file"][:], split["label"][:], strict=True)
        ]
        marked[name] = split.add_column(COLUMN, defects)
    several = sum(len(each) > 1 for split in marked.values() for each in split[COLUMN][:])
    if not several:
        raise DataError(
            "--multi-label: no image shows defects of several classes, so there is nothing to "
            "learn beyond the classes. Train without --multi-label."
        )
    without = len(files) - len(boxes)
    logger.info(
        "%s of %s show defects of several classes.%s",
        f"{several:,}",
        counted(len(files), "image"),
        f" {counted(without, 'image has', 'images have')} no boxes: only the class counts."
        if without
        else "",
    )
    return marked


def _class_numbers(boxes: Mapping[str, Sequence[Box]], labels: Sequence[str]) -> dict[str, int]:
    """Return the class index of each name of a box.

    Raises:
        DataError: a name means none of the classes: its defects would be trained as absent.
    """
    names = Counter(box.name for found in boxes.values() for box in found)
    meant = {name: match_class(name, labels) for name in names}
    unmatched = [
        f"{printable(name)} ({counted(names[name], 'box', 'boxes')})"
        for name, label in sorted(meant.items())
        if label is None
    ]
    if unmatched:
        raise DataError(
            f"--multi-label: no class is named like these boxes: {', '.join(unmatched)}. The "
            f"classes are {', '.join(map(printable, labels))}. Rename the boxes, or remove them."
        )
    return {name: labels.index(label) for name, label in meant.items() if label is not None}


def is_multi_label(split: Dataset) -> bool:
    """Return whether a split has the defects of its images."""
    return COLUMN in split.column_names


def targets(split: Dataset) -> Sequence[int | list[float]]:
    """Return what a network learns of each image: its class, or 1 for each of its defects."""
    if not is_multi_label(split):
        classes: list[int] = split["label"][:]
        return classes
    count = split.features["label"].num_classes
    return [[float(label in shown) for label in range(count)] for shown in split[COLUMN][:]]


def shown_classes(split: Dataset) -> npt.NDArray[np.bool_]:
    """Return which classes each image shows, [image, class]."""
    return np.asarray(targets(split)) > 0


def strata(split: Dataset, fewest: int) -> list[int]:
    """Return the stratum of each image: its class, or its set of several classes.

    Args:
        split: the images.
        fewest: images of a set of classes that make it a stratum; rarer sets count as the class.
    """
    classes: list[int] = split["label"][:]
    if not is_multi_label(split):
        return classes
    sets = [tuple(shown) for shown in split[COLUMN][:]]
    counts = Counter(shown for shown in sets if len(shown) > 1)
    first = split.features["label"].num_classes
    common = [shown for shown, images in sorted(counts.items()) if images >= fewest]
    numbers = {shown: first + place for place, shown in enumerate(common)}
    return [numbers.get(shown, label) for shown, label in zip(sets, classes, strict=True)]
