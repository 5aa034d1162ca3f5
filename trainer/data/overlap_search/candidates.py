"""Propose pairs of images that may overlap, and their relative position, from similar landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from faiss.contrib.ivf_tools import add_preassigned, search_preassigned

from trainer.data.overlap_search.keypoints import Landmarks
from trainer.data.overlap_search.orientations import COMPOSED, INVERSE, TURNS, Array, moved_points

NEIGHBOURS = 10
SMALLEST_LIKENESS = 0.85
# One similar pair of landmarks is chance; two that agree on turn and shift hardly are.
SMALLEST_VOTES = 2
MOST_WAYS = 12
SHIFT_BIN_PX = 2
# Patches are smooth: on photographs of strip these hold 96 % of the variance of 49 samples.
COMPONENTS = 32
# With more lists, finding the nearest ones would take longer than the search in them.
MOST_LISTS, LISTS_SEARCHED = 8192, 8
# faiss warns if it gets fewer than 39.
LANDMARKS_PER_LIST = 40
QUERIES_AT_ONCE = 100_000
_SHIFT_RANGE_PX = 2**14


@dataclass(frozen=True, order=True)
class Candidate:
    """Two images that may overlap: `b`, after `turn`, lies at (`shift_y`, `shift_x`) in `a`."""

    a: int
    b: int
    turn: int
    shift_y: int
    shift_x: int


def propose(found: list[Landmarks], shapes: Array) -> list[Candidate]:
    """Return the pairs of images of which two or more landmarks agree, a < b.

    Args:
        found: the landmarks of each image. The list is emptied: for many images, the descriptions
            and their index together would take gigabytes.
        shapes: [image, (height, width)] in pixels.
    """
    owner = np.repeat(np.arange(len(found), dtype=np.int32), [len(marks.y) for marks in found])
    if len(owner) < 2:
        return []
    y, x, turns = (
        np.concatenate([getattr(marks, name) for marks in found]) for name in ("y", "x", "turns")
    )
    images, components = len(found), _main_components(found)
    found.clear()
    one, two = _alike(components, owner)
    del components
    one, two = _of_images_with_more(one, two, owner)
    turn = COMPOSED[INVERSE[turns[one]], turns[two]]
    height, width = shapes[owner[two]].T
    y_two, x_two = moved_points(y[two], x[two], turn, height, width)
    shifts = np.stack([y[one] - y_two, x[one] - x_two])
    return _vote(owner[one], owner[two], turn, shifts, images)


def _main_components(found: Sequence[Landmarks]) -> Array:
    """Return the descriptions rotated and truncated: [landmark, component], float32.

    Dot products, and with them similarities, stay almost the same.
    """
    step = -(-len(found) // 500)
    sample = np.concatenate([marks.descriptions for marks in found[::step]]).astype(np.float32)
    _, directions = np.linalg.eigh(sample.T @ sample)
    main = directions[:, -COMPONENTS:]
    # Filled image by image: for many images, two copies would take gigabytes.
    ends = np.cumsum([len(marks.descriptions) for marks in found])
    components = np.empty((ends[-1], COMPONENTS), np.float32)
    for marks, end in zip(found, ends, strict=True):
        np.matmul(marks.descriptions, main, out=components[end - len(marks.descriptions) : end])
    return components


def _alike(descriptions: Array, owner: Array) -> tuple[Array, Array]:
    """Return pairs of similar landmarks of different images, each pair once."""
    count = len(descriptions)
    lists = int(np.clip(4 * count**0.5, 1, max(1, min(MOST_LISTS, count // LANDMARKS_PER_LIST))))
    coarse = faiss.IndexFlatIP(COMPONENTS)
    index = faiss.IndexIVFScalarQuantizer(
        coarse, COMPONENTS, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter, index.nprobe = 4, LISTS_SEARCHED
    index.cp.min_points_per_centroid = 1
    sample = np.random.default_rng(0).permutation(count)[: LANDMARKS_PER_LIST * lists]
    index.train(descriptions[np.sort(sample)])
    # Finding the nearest lists is half of the work, and is used twice: for filling and search.
    nearness, near_lists = _nearest_lists(coarse, descriptions)
    add_preassigned(index, descriptions, near_lists[:, 0].astype(np.int64))
    pairs = []
    for first in range(0, count, QUERIES_AT_ONCE):
        part = slice(first, first + QUERIES_AT_ONCE)
        # The nearest one is most often the landmark itself.
        likeness, near = search_preassigned(
            index, descriptions[part], NEIGHBOURS, near_lists[part].astype(np.int64), nearness[part]
        )
        query = np.repeat(np.arange(first, first + len(near)), NEIGHBOURS)
        near, likeness = near.ravel(), likeness.ravel()
        good = (near >= 0) & (likeness > SMALLEST_LIKENESS) & (owner[query] != owner[near])
        ordered = np.sort(np.stack([query[good], near[good]]), axis=0)
        pairs.append(ordered[0] * count + ordered[1])
    del index, nearness, near_lists
    both = np.unique(np.concatenate(pairs))
    return both // count, both % count


def _of_images_with_more(one: Array, two: Array, owner: Array) -> tuple[Array, Array]:
    """Return the pairs of landmarks whose images have enough pairs for a vote.

    Most pairs are chance; for many images, all of them would take gigabytes in the next step.
    """
    images = owner[one].astype(np.int64) * (1 + int(owner[-1])) + owner[two]
    ordered = np.sort(images)
    votes = np.searchsorted(ordered, images, "right") - np.searchsorted(ordered, images, "left")
    enough = votes >= SMALLEST_VOTES
    return one[enough], two[enough]


def _nearest_lists(coarse: Any, descriptions: Array) -> tuple[Array, Array]:
    """Return similarity and index of the lists nearest to each description: [description, list]."""
    nearness = np.empty((len(descriptions), LISTS_SEARCHED), np.float32)
    # faiss returns 64-bit indices; 32 bits are enough and halve the memory.
    near_lists = np.empty(nearness.shape, np.int32)
    for first in range(0, len(descriptions), QUERIES_AT_ONCE):
        part = slice(first, first + QUERIES_AT_ONCE)
        nearness[part], near_lists[part] = coarse.search(descriptions[part], LISTS_SEARCHED)
    return nearness, near_lists


def _vote(a: Array, b: Array, turn: Array, shifts: Array, images: int) -> list[Candidate]:
    """Count the landmarks that agree on images, turn and shift; return those with enough votes."""
    key = (a.astype(np.int64) * images + b) * TURNS + turn
    for shift in shifts:
        key = key * _SHIFT_RANGE_PX + (shift + _SHIFT_RANGE_PX // 2) // SHIFT_BIN_PX
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    votes = np.diff(starts, append=len(order))
    enough = votes >= SMALLEST_VOTES
    winners, votes = order[starts[enough]], votes[enough]
    # Straight lines agree at many shifts: only the best shifts of a pair are used.
    pair = a[winners].astype(np.int64) * images + b[winners]
    ranking = np.lexsort((-votes, pair))
    firsts = np.flatnonzero(np.diff(pair[ranking], prepend=-1))
    rank = np.arange(len(ranking)) - np.repeat(firsts, np.diff(firsts, append=len(ranking)))
    winners = winners[ranking[rank < MOST_WAYS]]
    return [
        Candidate(int(a[i]), int(b[i]), int(turn[i]), int(shifts[0, i]), int(shifts[1, i]))
        for i in winners
    ]
