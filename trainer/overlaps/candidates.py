"""Propose which images may overlap, and how they lie, from landmarks that look alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from trainer.overlaps.landmarks import DESCRIPTION_SIZE, Landmarks
from trainer.overlaps.turns import COMPOSED, INVERSE, TURNS, Array, moved_points

NEIGHBOURS = 10
SMALLEST_LIKENESS = 0.9
# One pair of landmarks alike is chance; two that agree on turn and shift hardly are.
SMALLEST_VOTES = 2
SHIFT_BIN_PX = 2
# With more lists, training the index would outgrow the search.
MOST_LISTS, LISTS_SEARCHED = 8192, 8
QUERIES_AT_ONCE = 100_000
_SHIFT_RANGE_PX = 2**14
# faiss compares several numbers at once where their count is a multiple of this.
_ALIGNMENT = 8


@dataclass(frozen=True, order=True)
class Candidate:
    """Two images that may overlap: `b`, after `turn`, lies at (`shift_y`, `shift_x`) in `a`."""

    a: int
    b: int
    turn: int
    shift_y: int
    shift_x: int


def propose(found: Sequence[Landmarks], shapes: Array) -> list[Candidate]:
    """Return the pairs of images of which two or more landmarks agree, a < b.

    Args:
        found: the landmarks of each image.
        shapes: [image, (height, width)] in pixels.
    """
    owner = np.repeat(np.arange(len(found)), [len(marks.y) for marks in found])
    if len(owner) < 2:
        return []
    y, x, turns = (
        np.concatenate([getattr(marks, name) for marks in found]) for name in ("y", "x", "turns")
    )
    one, two = _alike(np.concatenate([marks.descriptions for marks in found]), owner)
    turn = COMPOSED[INVERSE[turns[one]], turns[two]]
    height, width = shapes[owner[two]].T
    y_two, x_two = moved_points(y[two], x[two], turn, height, width)
    shifts = np.stack([y[one] - y_two, x[one] - x_two])
    return _vote(owner[one], owner[two], turn, shifts, len(found))


def _alike(descriptions: Array, owner: Array) -> tuple[Array, Array]:
    """Return pairs of landmarks of different images that look alike, each pair once."""
    count = len(descriptions)
    lists = int(np.clip(4 * count**0.5, 1, min(MOST_LISTS, -(-count // 40))))
    descriptions = np.pad(descriptions, ((0, 0), (0, -DESCRIPTION_SIZE % _ALIGNMENT)))
    size = descriptions.shape[1]
    coarse = faiss.IndexFlatIP(size)
    index = faiss.IndexIVFScalarQuantizer(
        coarse, size, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter, index.nprobe = 8, LISTS_SEARCHED
    sample = np.random.default_rng(0).permutation(count)[: 40 * lists]
    index.train(descriptions[np.sort(sample)])
    index.add(descriptions)
    pairs = []
    for first in range(0, count, QUERIES_AT_ONCE):
        # The nearest of all is most often the landmark itself.
        likeness, near = index.search(descriptions[first : first + QUERIES_AT_ONCE], NEIGHBOURS)
        query = np.repeat(np.arange(first, first + len(near)), NEIGHBOURS)
        near, likeness = near.ravel(), likeness.ravel()
        good = (near >= 0) & (likeness > SMALLEST_LIKENESS) & (owner[query] != owner[near])
        ordered = np.sort(np.stack([query[good], near[good]]), axis=0)
        pairs.append(ordered[0] * count + ordered[1])
    both = np.unique(np.concatenate(pairs))
    return both // count, both % count


def _vote(a: Array, b: Array, turn: Array, shifts: Array, images: int) -> list[Candidate]:
    """Count the landmarks that agree on images, turn and shift; keep what has votes enough."""
    key = (a.astype(np.int64) * images + b) * TURNS + turn
    for shift in shifts:
        key = key * _SHIFT_RANGE_PX + (shift + _SHIFT_RANGE_PX // 2) // SHIFT_BIN_PX
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    votes = np.diff(starts, append=len(order))
    enough = starts[votes >= SMALLEST_VOTES]
    winners = order[enough]
    return [
        Candidate(int(a[i]), int(b[i]), int(turn[i]), int(shifts[0, i]), int(shifts[1, i]))
        for i in winners
    ]
