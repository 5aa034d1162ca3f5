"""Split images into train, validation and test, or folds, with no surface in two splits.

Every row has a `group`: images that show the same surface share it (`overlap_groups`).
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets

from model_card.formatting import enumeration
from trainer.config.groups import DataConfig
from trainer.data.splits.given import GivenSplits, complete, keep_given
from trainer.data.splits.shares import cut_folds, cut_share
from trainer.data.splits.shortage import listed, no_validation
from trainer.errors import DataError
from trainer.text.spreadsheet import read_table, write_table

logger = logging.getLogger(__name__)

SPLIT_FILE = "split.csv"
SPLITS = ("train", "validation", "test")
Division = Literal["given", "partly given", "file", "grouped", "random"]


def divide(
    splits: DatasetDict, config: DataConfig, seed: int
) -> tuple[DatasetDict, dict[str, str], Division]:
    """Complete `train`, `validation` and `test`, stratified by class and seeded.

    Returns:
        the three splits, a phrase on how each was made, and how the test
        split was made.

    Raises:
        DataError: the split file does not match, or a class can't be in every split.
    """
    division: Division = "random" if config.random_split else "grouped"
    if config.split_file:
        given = GivenSplits(_as_file_says(pooled(splits), config.split_file), {}, {})
        division = "file"
        given.origins.update(dict.fromkeys(given.splits, f"as {config.split_file.name} says"))
    elif config.resplit:
        given = GivenSplits(DatasetDict(train=pooled(splits)), {}, {})
    else:
        given = keep_given(splits, config)
        if "test" in splits:
            division = "partly given" if given.lacking["test"] else "given"
    splits, origins = given.splits, given.origins
    everything, tested = splits["train"], "test" in splits
    # Test first: its images must not depend on the validation split.
    for name, fraction in (
        ("test", config.test_fraction),
        ("validation", config.validation_fraction),
    ):
        share = f"about {100 * fraction:.0f} % of each class"
        chance = f"{_chance(config)} (seed {seed})"
        if name not in splits:
            # Leave one piece of each class for validation, if that split is still to be made.
            leave = 1 if "validation" in splits else 2
            splits["train"], splits[name] = cut_share(
                splits["train"], fraction, seed, config, leave, every_class=name == "test"
            )
            origins[name] = f"{share}, {chance}"
        elif lacking := given.lacking.get(name):
            splits["train"], splits[name] = complete(given, name, fraction, seed, config)
            origins[name] += f"; {share} of {enumeration(sorted(lacking))}, {chance}"
        else:
            continue
        origins["train"] = "the rest of the images"
    if not len(splits["validation"]):
        raise DataError(no_validation(everything, 2 if tested else 3, config))
    _warn_of_unvalidated(_check_classes(splits))
    return splits, origins, division


def divide_into_folds(
    splits: DatasetDict, config: DataConfig, seed: int
) -> list[tuple[DatasetDict, dict[str, str], Division]]:
    """Return the same for each fold; each image is in one test split.

    Raises:
        DataError: a class has too few pieces of surface for that many folds.
    """
    images = pooled(splits)
    folds: list[tuple[DatasetDict, dict[str, str], Division]] = []
    unvalidated: set[str] = set()
    for number, rows in enumerate(cut_folds(images, config.folds, seed, config), 1):
        rest = np.setdiff1d(np.arange(len(images)), rows)
        train, validation = cut_share(images.select(rest), config.validation_fraction, seed, config)
        if not len(validation):
            raise DataError(no_validation(images, 4, config))
        divided = DatasetDict(train=train, validation=validation, test=images.select(rows))
        unvalidated |= _check_classes(divided)
        origins = {
            "test": f"fold {number} of {config.folds}, {_chance(config)} (seed {seed})",
            "validation": f"about {100 * config.validation_fraction:.0f} % of each class of the "
            f"other folds, {_chance(config)} (seed {seed})",
            "train": "the rest of the other folds",
        }
        folds.append((divided, origins, "random" if config.random_split else "grouped"))
    _warn_of_unvalidated(unvalidated)
    return folds


def pooled(splits: DatasetDict) -> Dataset:
    """Join the images of all splits."""
    return concatenate_datasets(list(splits.values()))


def write_split(splits: DatasetDict, run_dir: Path, left_out: Collection[str] = ()) -> None:
    """Write `split.csv`, which `--split-file` reads: one row per image of the data.

    Args:
        splits: of the run.
        run_dir: of the run.
        left_out: files in the splits that are not of the data.
    """
    rows = [["file", "label", "group", "split"]]
    for name, split in splits.items():
        labels = split.features["label"].int2str(split["label"][:])
        for file, label, group in zip(split["file"][:], labels, split["group"][:], strict=True):
            if file not in left_out:
                rows.append([file, label, str(group), name])
    write_table(run_dir / SPLIT_FILE, rows)


def _chance(config: DataConfig) -> str:
    return "at random" if config.random_split else "whole groups of shared surface at a time"


def _as_file_says(images: Dataset, file: Path) -> DatasetDict:
    """Split by the columns `file` and `split` of a CSV."""
    try:
        header, *lines = read_table(file) or [[]]
        if not {"file", "split"} <= set(header):
            raise DataError(f"{file} needs a first line that names the columns file and split.")
        columns = header.index("file"), header.index("split")
        wanted = {line[columns[0]]: line[columns[1]] for line in lines if line}
    except OSError as error:
        raise DataError(f"The split file {file} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The split file {file} is no CSV text: {error}.") from error
    except IndexError as error:
        raise DataError(f"The split file {file} has a line with too few columns.") from error
    unknown = sorted(set(wanted.values()) - set(SPLITS), key=str)
    if unknown:
        raise DataError(f"{file} names the split {unknown[0]}; known are {', '.join(SPLITS)}.")
    names = images["file"][:]
    for here, there, what in (
        (wanted.keys(), names, f"are in {file} but not among the images"),
        (names, wanted.keys(), f"are images that {file} does not name"),
    ):
        stray = sorted(set(here) - set(there))
        if stray:
            raise DataError(
                f"{len(stray)} files {what}: {', '.join(stray[:5])}{' …' if stray[5:] else ''}. "
                "Correct the file, or leave --split-file out."
            )
    splits = DatasetDict()
    for split in SPLITS:
        rows = [index for index, name in enumerate(names) if wanted[name] == split]
        if rows:
            splits[split] = images.select(rows)
    if missing := {"train", "test"} - set(splits):
        raise DataError(f"{file} has no image in the {min(missing)} split.")
    return splits


def _check_classes(splits: DatasetDict) -> set[str]:
    """Return the classes without validation images; each class must be in training and test.

    Raises:
        DataError: a class is missing from training or test.
    """
    unvalidated = set()
    for name, split in splits.items():
        present = set(split["label"][:])
        for label, title in enumerate(split.features["label"].names):
            if label in present:
                continue
            if name != "validation":
                raise DataError(
                    f"The class {title} has no image in the {name} split. Add images of it there, "
                    "or leave the class out."
                )
            unvalidated.add(title)
    return unvalidated


def _warn_of_unvalidated(classes: set[str]) -> None:
    if classes:
        logger.warning(
            "No validation image is left for %s: training and test have priority. The choice of "
            "the best epoch and the calibration do not use %s.",
            listed(sorted(classes)),
            "it" if len(classes) == 1 else "them",
        )
