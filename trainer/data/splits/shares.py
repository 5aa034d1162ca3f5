"""Cut a share, or folds, off images, stratified by class: no piece is cut, no class left out."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from datasets import Dataset
from sklearn.model_selection import train_test_split

from trainer.config.settings import DataConfig
from trainer.data.splits.pieces import Ints, Pieces, pieces_of
from trainer.data.splits.shortage import check_pieces, too_few_alone
from trainer.errors import DataError

# A share is cut off as N of at most this many folds.
MOST_FOLDS = 20


def cut_share(
    part: Dataset, fraction: float, seed: int, name: str, config: DataConfig, leave: int = 1
) -> tuple[Dataset, Dataset]:
    """Cut a stratified share off a part: of each class one piece of surface or more, never all.

    A class of a single piece stays out of validation.

    Args:
        part: the images to divide.
        fraction: of the images of each class, about.
        seed: of chance.
        name: of the share, "test" or "validation".
        config: whether pieces of surface matter.
        leave: pieces of each class that should be left, where it has more.

    Raises:
        DataError: a class has too few pieces for the test.
    """
    pieces = pieces_of(part, config)
    if name == "test":
        check_pieces(part, pieces, 2, config)
    by_image = config.random_split or len(pieces) == len(part)
    rest, cut = (_draw_images if by_image else _draw_groups)(part, pieces, fraction, seed)
    sides = np.zeros(len(pieces), dtype=np.int64)
    sides[pieces.of_image[cut]] = 1
    least = np.ones((2, len(pieces.per_class)), dtype=np.int64)
    least[1] = name == "test"
    unmet = pieces.fill(sides, least, seed)
    if unmet:
        raise DataError(too_few_alone(part, pieces, unmet[0][1], 2))
    # More is good to have, but no reason to refuse.
    least[0] = np.clip(pieces.per_class - 1, 1, leave)
    least[1] = np.clip(pieces.per_class - 1, 0, 1)
    pieces.fill(sides, least, seed)
    chosen = sides[pieces.of_image] == 1
    # In the order of the draw; what was moved comes last.
    cut_first, rest_first = np.concatenate([cut, rest]), np.concatenate([rest, cut])
    return part.select(rest_first[~chosen[rest_first]]), part.select(cut_first[chosen[cut_first]])


def _draw_images(part: Dataset, pieces: Pieces, fraction: float, seed: int) -> tuple[Ints, Ints]:
    """Return the rows that stay and those of a stratified share, image by image."""
    labels = np.asarray(part["label"][:])
    counts = np.bincount(labels, minlength=len(pieces.per_class))
    lonely = counts[labels] < 2
    rows, single = np.flatnonzero(~lonely), np.flatnonzero(lonely)
    if not len(rows):
        return single, rows
    classes = int((counts > 1).sum())
    # A small share of few images may be less than one image of each class.
    size = min(max(classes, math.ceil(fraction * len(rows))), len(rows) - classes)
    # `Dataset.train_test_split` would read row by row, which takes minutes for 100,000.
    rest, cut = train_test_split(rows, test_size=size, stratify=labels[rows], random_state=seed)
    return np.concatenate([rest, single]), cut


def _draw_groups(part: Dataset, pieces: Pieces, fraction: float, seed: int) -> tuple[Ints, Ints]:
    """Return the rows that stay and those of a stratified share of whole pieces."""
    labels = np.asarray(part["label"][:])
    classes = len(pieces.per_class)
    wanted = Fraction(fraction).limit_denominator(MOST_FOLDS).denominator
    # Fewer and larger folds where a class has few pieces; not for one that is due less than one.
    due = [count for count in pieces.per_class.tolist() if count * fraction >= 1]
    fewest = min(len(pieces), int(np.bincount(labels).max()))
    if fewest < 2:
        return np.arange(len(part)), np.arange(0)
    folds = max(2, min(wanted, fewest, *due))
    fold = pieces.dealt(folds, seed)[pieces.of_image]
    # Large groups make some folds uneven; those that come nearest to the class counts are cut.
    counts = np.zeros((folds, classes))
    np.add.at(counts, (fold, labels), 1)
    uneven = np.abs(counts - counts.mean(axis=0)).sum(axis=1)
    best = np.argsort(uneven, kind="stable")[: max(1, round(fraction * folds))]
    return np.flatnonzero(~np.isin(fold, best)), np.flatnonzero(np.isin(fold, best))


def cut_folds(images: Dataset, folds: int, seed: int, config: DataConfig) -> list[Ints]:
    """Return the rows of each fold, stratified by class, with a piece of each class or more.

    Raises:
        DataError: a class has too few pieces for that many folds.
    """
    pieces = pieces_of(images, config)
    check_pieces(images, pieces, folds, config)
    sides = pieces.dealt(folds, seed)
    least = np.ones((folds, len(pieces.per_class)), dtype=np.int64)
    unmet = pieces.fill(sides, least, seed)
    if unmet:
        raise DataError(too_few_alone(images, pieces, unmet[0][1], folds))
    if folds == 2:
        # The other fold must do for training and validation.
        pieces.fill(sides, np.tile(np.clip(pieces.per_class // 2, 1, 2), (2, 1)), seed)
    return [np.flatnonzero(sides[pieces.of_image] == fold) for fold in range(folds)]
