"""All defects of an image: its class and those of its boxes, for models that name several."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from datasets import Dataset, DatasetDict

from model_card.formatting import counted
from trainer.data.voc_boxes import Box, BoxFolders, match_class, read_boxes
from trainer.errors import DataError
from trainer.text.names import printable
from trainer.text.spreadsheet import read_table

logger = logging.getLogger(__name__)

# Of a split: the sorted class indices of the defects of each image; its own class is one of them.
COLUMN = "defects"
# Of images, in a message.
LISTED = 5


def with_defects(splits: DatasetDict, source: Path | BoxFolders) -> DatasetDict:
    """Add the column of defects.

    Args:
        splits: with the columns `file` and `label`.
        source: a CSV with the columns `file` and `classes`, or places of boxes; an image without
            boxes shows its own class alone.

    Raises:
        DataError: the source can't be used or names an unknown class, or no image shows several.
    """
    labels: list[str] = next(iter(splits.values())).features["label"].names
    truth = {
        file: label
        for split in splits.values()
        for file, label in zip(split["file"][:], split["label"][:], strict=True)
    }
    if isinstance(source, Path):
        shown = _of_table(source, truth, labels)
    else:
        shown = _of_boxes(source, truth, labels)
    several = sum(len(each) > 1 for each in shown.values())
    if not several:
        raise DataError(
            "--multi-label: no image shows defects of several classes, so there is nothing to "
            "learn beyond the classes. Train without --multi-label."
        )
    logger.info("%s of %s show defects of several classes.", f"{several:,}", _images(len(truth)))
    return DatasetDict(
        {
            name: split.add_column(COLUMN, [shown[file] for file in split["file"][:]])
            for name, split in splits.items()
        }
    )


def _images(count: int) -> str:
    return counted(count, "image")


def _of_boxes(
    places: BoxFolders, truth: Mapping[str, int], labels: Sequence[str]
) -> dict[str, list[int]]:
    if not places:
        raise DataError(
            "--multi-label needs the defects of each image: there are no boxes beside the images. "
            "Name their folder with --boxes, <stem>.xml for <stem>.jpg (Pascal VOC), or a CSV with "
            "--defects."
        )
    boxes = read_boxes(places, list(truth))
    numbers = _class_numbers(boxes, labels)
    if without := len(truth) - len(boxes):
        logger.info("%s without boxes: only the class counts.", _images(without).capitalize())
    return {
        file: sorted({label, *(numbers[box.name] for box in boxes.get(file, []))})
        for file, label in truth.items()
    }


def _of_table(table: Path, truth: Mapping[str, int], labels: Sequence[str]) -> dict[str, list[int]]:
    """Return the classes of each image, by the columns `file` and `classes` of a CSV.

    Raises:
        DataError: it can't be read, does not match the images, or names an unknown class.
    """
    try:
        header, *rows = read_table(table) or [[]]
    except OSError as error:
        raise DataError(f"--defects {table} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"--defects {table} is no CSV text: {error}.") from error
    if not {"file", "classes"} <= set(header):
        raise DataError(f"--defects {table} needs a first line with the columns file and classes.")
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows, 2):
        cells = dict(zip(header, row, strict=False))
        file, text = cells.get("file", ""), cells.get("classes", "")
        names = [name.strip() for name in text.split(";") if name.strip()]
        unknown = [printable(name) for name in names if name not in labels]
        where = f"--defects {table}, line {number}"
        if file not in truth:
            raise DataError(f"{where}: there is no image {printable(file)}.")
        if file in found:
            raise DataError(f"{where}: {printable(file)} is named twice. Keep one line.")
        if unknown:
            raise DataError(
                f"{where}: no class is called {', '.join(unknown)}. The classes are "
                f"{', '.join(map(printable, labels))}."
            )
        own = labels[truth[file]]
        if own not in names:
            raise DataError(
                f"{where}: {printable(file)} has the class {printable(own)}, which its classes "
                "lack. Add it, or move the image."
            )
        found[file] = sorted({labels.index(name) for name in names})
    if missing := sorted(truth.keys() - found.keys()):
        more = ", …" if missing[LISTED:] else ""
        raise DataError(
            f"--defects {table} lacks {_images(len(missing))}: "
            f"{', '.join(map(printable, missing[:LISTED]))}{more}."
        )
    return found


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
