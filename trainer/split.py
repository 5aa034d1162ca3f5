"""Divide images into parts or folds so that no piece of surface is on two sides of a border.

Every row has a `group`: images that show the same surface share it (`trainer/surfaces.py`).
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from trainer.config import DataConfig
from trainer.errors import DataError

SPLIT_FILE = "split.csv"
PARTS = ("train", "validation", "test")
# What folders, and splits of datasets on the Hub, may call them.
PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
Division = Literal["given", "file", "grouped", "random"]
# A share is cut off as so many of at most this many folds.
MOST_FOLDS = 20


def divide(
    parts: DatasetDict, config: DataConfig, seed: int
) -> tuple[DatasetDict, dict[str, str], Division]:
    """Complete `train`, `validation` and `test`, stratified by class and seeded.

    Returns:
        the three parts, for each of them half a sentence on how it came about, and how the test
        part was set apart.

    Raises:
        DataError: the split file does not fit, or a class can't be in every part.
    """
    parts = DatasetDict(parts)
    division: Division = "random" if config.random_split else "grouped"
    if config.split_file:
        parts = _as_file_says(pooled(parts), config.split_file)
        division = "file"
        origins = dict.fromkeys(parts, f"as {config.split_file.name} says")
    elif config.regroup:
        parts = DatasetDict(train=pooled(parts))
        origins = {}
    else:
        division = "given" if "test" in parts else division
        origins = dict.fromkeys(parts, "as the data came")
    # Test first: which images it holds must not depend on how validation is cut.
    for name, fraction in (
        ("test", config.test_fraction),
        ("validation", config.validation_fraction),
    ):
        if name not in parts:
            parts["train"], parts[name] = _cut(parts["train"], fraction, seed, name, config)
            origins[name] = (
                f"about {fraction:.0%} of each class of the training images, {_chance(config)} "
                f"(seed {seed})"
            )
            origins["train"] = "what was left of the training images"
    _check_classes(parts)
    return parts, origins, division


def divide_into_folds(
    parts: DatasetDict, config: DataConfig, seed: int
) -> list[tuple[DatasetDict, dict[str, str], Division]]:
    """Return the same for each fold; each image is in one test part.

    Raises:
        DataError: a class has too few images, or too few groups, for so many folds.
    """
    images = pooled(parts)
    folds: list[tuple[DatasetDict, dict[str, str], Division]] = []
    for number, rows in enumerate(_folds(images, config.folds, seed, config), 1):
        rest = np.setdiff1d(np.arange(len(images)), rows)
        train, validation = _cut(
            images.select(rest), config.validation_fraction, seed, "validation", config
        )
        divided = DatasetDict(train=train, validation=validation, test=images.select(rows))
        _check_classes(divided)
        origins = {
            "test": f"fold {number} of {config.folds}, {_chance(config)} (seed {seed})",
            "validation": f"about {config.validation_fraction:.0%} of each class of the other folds"
            f", {_chance(config)} (seed {seed})",
            "train": "what was left of the other folds",
        }
        folds.append((divided, origins, "random" if config.random_split else "grouped"))
    return folds


def pooled(parts: DatasetDict) -> Dataset:
    """Return the images of all parts as one."""
    return concatenate_datasets(list(parts.values()))


def write_split(parts: DatasetDict, run_dir: Path) -> None:
    """Write `split.csv`, which `--split-file` takes: a row an image."""
    partial = run_dir / (SPLIT_FILE + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["file", "label", "group", "part"])
        for name, part in parts.items():
            labels = part.features["label"].int2str(list(part["label"]))
            writer.writerows(
                zip(part["file"], labels, part["group"], [name] * len(part), strict=True)
            )
    partial.replace(run_dir / SPLIT_FILE)


def _chance(config: DataConfig) -> str:
    return "at random" if config.random_split else "whole groups of shared surface at a time"


def _as_file_says(images: Dataset, file: Path) -> DatasetDict:
    """Divide by the columns `file` and `part` of a CSV."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened)
            if not {"file", "part"} <= set(reader.fieldnames or ()):
                raise DataError(f"{file} needs a first line that names the columns file and part.")
            wanted = {row["file"]: row["part"] for row in reader}
    except OSError as error:
        raise DataError(f"The split file {file} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The split file {file} is no CSV text: {error}.") from error
    unknown = sorted(set(wanted.values()) - set(PARTS), key=str)
    if unknown:
        raise DataError(f"{file} names the part {unknown[0]}; known are {', '.join(PARTS)}.")
    names = list(images["file"])
    for here, there, what in (
        (wanted.keys(), names, f"are in {file} but not among the images"),
        (names, wanted.keys(), f"are images that {file} does not name"),
    ):
        stray = sorted(set(here) - set(there))
        if stray:
            raise DataError(
                f"{len(stray)} files {what}: {', '.join(stray[:5])}{' …' if stray[5:] else ''}. "
                "Make them agree, or leave --split-file out."
            )
    parts = DatasetDict()
    for part in PARTS:
        rows = [index for index, name in enumerate(names) if wanted[name] == part]
        if rows:
            parts[part] = images.select(rows)
    if missing := {"train", "test"} - set(parts):
        raise DataError(f"{file} puts no image into the {min(missing)} part.")
    return parts


def _check_classes(parts: DatasetDict) -> None:
    for name, part in parts.items():
        counts = Counter(part["label"])
        for label, title in enumerate(part.features["label"].names):
            if not counts[label]:
                raise DataError(
                    f"The class {title} has no image in the {name} part. Add images of it; where "
                    "all of them show one piece of surface, from other pieces."
                )


def _cut(
    part: Dataset, fraction: float, seed: int, name: str, config: DataConfig
) -> tuple[Dataset, Dataset]:
    """Cut a stratified share off a part."""
    counts = Counter(part["label"])
    for label, title in enumerate(part.features["label"].names):
        if round(counts[label] * fraction) < 1 or counts[label] < 2:
            raise DataError(
                f"The class {title} has {counts[label]} training images: too few to set "
                f"{fraction:.0%} aside for {name}. Add images, or raise --{name}-fraction."
            )
    alone = len(set(part["group"])) == len(part)
    if config.random_split or alone:
        # A small share of few images may come to less than one image of each class.
        size = max(len(counts), math.ceil(fraction * len(part)))
        divided = part.train_test_split(size, stratify_by_column="label", seed=seed)
        return divided["train"], divided["test"]
    # Fewer and larger folds where a class has few groups.
    wanted = Fraction(fraction).limit_denominator(MOST_FOLDS).denominator
    folds = max(2, min(wanted, *_pieces(part, config)))
    cut = _folds(part, folds, seed, config)
    # Large groups make some folds uneven; those that come nearest to the class counts are cut.
    labels = np.asarray(part["label"])
    share = np.bincount(labels) / len(cut)
    uneven = [np.abs(np.bincount(labels[rows], minlength=len(share)) - share).sum() for rows in cut]
    best = np.argsort(uneven, kind="stable")[: max(1, round(fraction * len(cut)))]
    rows = np.sort(np.concatenate([cut[index] for index in best]))
    return part.select(np.setdiff1d(np.arange(len(part)), rows)), part.select(rows)


def _pieces(images: Dataset, config: DataConfig) -> list[int]:
    """Return how many pieces each class can be divided into at most."""
    groups = range(len(images)) if config.random_split else images["group"]
    pairs = set(zip(images["label"], groups, strict=True))
    counts = Counter(label for label, _ in pairs)
    return [counts[label] for label in range(images.features["label"].num_classes)]


def _folds(images: Dataset, folds: int, seed: int, config: DataConfig) -> list[np.ndarray]:
    """Return the rows of each fold, stratified by class, with groups kept together if need be."""
    labels = np.asarray(images["label"])
    titles = images.features["label"].names
    for title, pieces in zip(titles, _pieces(images, config), strict=True):
        if pieces < folds:
            raise DataError(
                f"The class {title} has images of {pieces} separate pieces of surface: too few for "
                f"{folds} parts. Add images of other pieces, or ask for fewer parts."
            )
    if config.random_split:
        chosen = StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
    else:
        by_group = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        chosen = by_group.split(labels, labels, images["group"])
    return [rows for _, rows in chosen]
