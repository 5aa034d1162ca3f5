"""Nested subsets of training images, as a person would have collected them: piece by piece."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.data.splits.pieces import Ints
from trainer.data_needs.power_law import FEWEST_POINTS

# The usual smallest number of images of a class; smaller collections start lower.
FIRST_COUNT = 10


def collection_order(labels: Ints, groups: Ints, seed: int) -> list[Ints]:
    """Return, for each class, its rows in the order in which they were collected.

    The pieces of surface come in random order, and the images of a piece follow each other. The
    first N rows are the subset of N images: it contains the smaller ones, and of all its pieces but
    the last it has every image of the class.

    Args:
        labels: class of each row.
        groups: piece of surface of each row.
        seed: of the random order.
    """
    rng = np.random.default_rng(seed)
    orders = []
    for label in range(int(labels.max()) + 1):
        rows = rng.permutation(np.flatnonzero(labels == label))
        pieces = rng.permutation(np.unique(groups[rows]))
        place = {int(piece): index for index, piece in enumerate(pieces)}
        turn = np.array([place[int(group)] for group in groups[rows]], dtype=np.int64)
        orders.append(rows[np.argsort(turn, kind="stable")])
    return orders


def subset(orders: Sequence[Ints], counts: Sequence[int]) -> Ints:
    """Return the rows of the first images of each class, sorted.

    Args:
        orders: of `collection_order`.
        counts: number of images of each class; a class with fewer gives all.
    """
    return np.sort(np.concatenate([rows[:n] for rows, n in zip(orders, counts, strict=True)]))


def default_counts(most: int) -> list[int]:
    """Return numbers of images, doubling up to `most`: at least three if `most` is 4 or more."""
    first = FIRST_COUNT if most >= 4 * FIRST_COUNT else max(1, most // 4)
    counts = []
    while first < 0.75 * most:
        counts.append(first)
        first *= 2
    return [*counts, most]


def fewest_images() -> int:
    """Return the fewest images of a class that give enough points for a power law."""
    return next(n for n in range(1, 100) if len(default_counts(n)) >= FEWEST_POINTS)
