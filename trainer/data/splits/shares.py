"""Split off a share, or folds, stratified by class; pieces of surface stay whole."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from datasets import Dataset

from trainer.config.groups import DataConfig
from trainer.data.collection import source_names
from trainer.data.image_defects import strata
from trainer.data.splits.pieces import Ints, Pieces, pieces_of
from trainer.data.splits.shortage import check_pieces, too_few_alone
from trainer.errors import DataError

# A share is split off as N of at most this many folds.
MOST_FOLDS = 20
# Images of a set of several defects from which on it is spread evenly over the splits.
FEWEST_OF_A_SET = 10


def cut_share(
    split: Dataset,
    fraction: float,
    seed: int,
    config: DataConfig,
    leave: int = 1,
    *,
    every_class: bool = False,
) -> tuple[Dataset, Dataset]:
    """Split off a stratified share: one piece of surface or more of each class, never all.

    A class with a single piece has no validation images.

    Args:
        split: the images to split.
        fraction: approximate share of the images of each class.
        seed: of the random order.
        config: whether to split at random or by pieces of surface.
        leave: pieces of each class that should remain, if it has more.
        every_class: whether the share must have each class, as a test split.

    Raises:
        DataError: a class has too few pieces for both sides.
    """
    pieces = pieces_of(split, config)
    if every_class:
        check_pieces(split, pieces, 2, config)
    by_image = config.random_split or len(pieces) == len(split)
    rest, cut = (_draw_images if by_image else _draw_groups)(split, pieces, fraction, seed)
    sides = np.zeros(len(pieces), dtype=np.int64)
    sides[pieces.of_image[cut]] = 1
    least = np.ones((2, len(pieces.per_class)), dtype=np.int64) * (pieces.per_class > 0)
    least[1] *= every_class
    unmet = pieces.fill(sides, least, seed)
    if unmet:
        raise DataError(too_few_alone(split, pieces, unmet[0][1], 2))
    # More pieces are desirable but not required.
    least[0] = np.clip(pieces.per_class - 1, 1, leave)
    least[1] = np.clip(pieces.per_class - 1, 0, 1)
    pieces.fill(sides, least, seed)
    chosen = sides[pieces.of_image] == 1
    # In drawing order, moved pieces last.
    cut_first, rest_first = np.concatenate([cut, rest]), np.concatenate([rest, cut])
    return split.select(rest_first[~chosen[rest_first]]), split.select(cut_first[chosen[cut_first]])


def _draw_images(split: Dataset, pieces: Pieces, fraction: float, seed: int) -> tuple[Ints, Ints]:
    """Return the remaining rows and those of a stratified share, image by image."""
    labels = _strata(split, fraction)
    counts = np.bincount(labels, minlength=len(pieces.per_class))
    lonely = counts[labels] < 2
    rows, single = np.flatnonzero(~lonely), np.flatnonzero(lonely)
    if not len(rows):
        return single, rows
    classes = int((counts > 1).sum())
    # A small share may be less than one image of each class.
    size = min(max(classes, math.ceil(fraction * len(rows))), len(rows) - classes)
    # scikit-learn takes a second to import; most data comes with its splits.
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    # `Dataset.train_test_split` would read row by row, which takes minutes for 100,000.
    rest, cut = train_test_split(rows, test_size=size, stratify=labels[rows], random_state=seed)
    return np.concatenate([rest, single]), cut


def _draw_groups(split: Dataset, pieces: Pieces, fraction: float, seed: int) -> tuple[Ints, Ints]:
    """Return the remaining rows and those of a stratified share of whole pieces."""
    labels = _strata(split, fraction)
    count = int(labels.max()) + 1
    wanted = Fraction(fraction).limit_denominator(MOST_FOLDS).denominator
    # Fewer and larger folds if a class has few pieces, unless its share is below one piece.
    due = [count for count in pieces.per_class.tolist() if count * fraction >= 1]
    fewest = min(len(pieces), int(np.bincount(split["label"][:]).max()))
    if fewest < 2:
        return np.arange(len(split)), np.arange(0)
    folds = max(2, min(wanted, fewest, *due))
    fold = Pieces(labels, pieces.of_image, count).dealt(folds, seed)[pieces.of_image]
    # Large groups make folds uneven; the folds closest to the class counts are used.
    counts = np.zeros((folds, count))
    np.add.at(counts, (fold, labels), 1)
    uneven = np.abs(counts - counts.mean(axis=0)).sum(axis=1)
    best = np.argsort(uneven, kind="stable")[: max(1, round(fraction * folds))]
    return np.flatnonzero(~np.isin(fold, best)), np.flatnonzero(np.isin(fold, best))


def _strata(images: Dataset, share: float) -> Ints:
    """Return the stratum of each image: its class, or set of classes, and its source.

    The source does not count if there is one, or if a share of its images would be less than one.
    """
    labels: Ints = np.asarray(strata(images, FEWEST_OF_A_SET), dtype=np.int64)
    sources, own = np.unique(source_names(images), return_inverse=True)
    if len(sources) < 2:
        return labels
    by_source = labels * (len(sources) + 1) + 1 + own
    few = np.bincount(by_source)[by_source] * share < 1
    by_source[few] = labels[few] * (len(sources) + 1)
    numbered: Ints = np.unique(by_source, return_inverse=True)[1]
    return numbered


def cut_folds(images: Dataset, folds: int, seed: int, config: DataConfig) -> list[Ints]:
    """Return the rows of each fold, stratified by class, with at least one piece of each class.

    Raises:
        DataError: a class has too few pieces for that many folds.
    """
    pieces = pieces_of(images, config)
    check_pieces(images, pieces, folds, config)
    labels = _strata(images, 1 / folds)
    sides = Pieces(labels, pieces.of_image, int(labels.max()) + 1).dealt(folds, seed)
    least = np.ones((folds, len(pieces.per_class)), dtype=np.int64)
    unmet = pieces.fill(sides, least, seed)
    if unmet:
        raise DataError(too_few_alone(images, pieces, unmet[0][1], folds))
    if folds == 2:
        # The other fold is used for training and validation.
        pieces.fill(sides, np.tile(np.clip(pieces.per_class // 2, 1, 2), (2, 1)), seed)
    return [np.flatnonzero(sides[pieces.of_image] == fold) for fold in range(folds)]
