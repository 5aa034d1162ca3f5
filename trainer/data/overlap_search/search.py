"""Search a set of images for pairs that show the same surface, and join the pairs to groups."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from trainer.data.overlap_search.candidates import Candidate, propose
from trainer.data.overlap_search.keypoints import Landmarks, find_landmarks
from trainer.data.overlap_search.layout import implied_candidates
from trainer.data.overlap_search.orientations import Array
from trainer.data.overlap_search.similarity import texture
from trainer.data.overlap_search.verify import SMALLEST_SHARED_AREA, Overlap, ReadGrey, confirm

# Largest size for the landmark search; pairs are verified at full resolution.
USUAL_SIDE_PX = 512
CACHE_BYTES = 400_000_000
# Largest difference in shift between landmarks of one overlap, at the size of the search.
NEAR_PX = 3
# A camera above stopped strip takes the same view repeatedly. Beyond this many images, one
# represents the others: all pairs of thousands of images would be millions.
MOST_SAME_VIEWS = 20
SAME_VIEW_AREA = 0.95


def find_overlaps(shapes: Array, read: ReadGrey) -> list[Overlap]:
    """Return all pairs of images that share at least SMALLEST_SHARED_AREA of the smaller one.

    Time grows little faster than the number of images: landmarks are compared through an index,
    and only pairs with several landmarks in common are verified at full resolution.

    Args:
        shapes: [image, (height, width)] in pixels.
        read: returns the image of an index as gray levels [y, x], uint8. It is called several
            times an image, from several threads.
    """
    shapes = np.asarray(shapes, dtype=np.int64).reshape(-1, 2)
    if len(shapes) < 2:
        return []
    # One factor for all: images of one camera must stay comparable at any size.
    factor = int(-(-np.median(shapes.max(axis=1)) // USUAL_SIDE_PX))

    def look(index: int) -> Landmarks:
        return find_landmarks(_reduced(read(index), factor))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = pool.map(look, range(len(shapes)))
        found = list(tqdm(looks, "finding landmarks", len(shapes), leave=False, disable=None))
    proposed = [
        Candidate(c.a, c.b, c.turn, c.shift_y * factor, c.shift_x * factor)
        for c in propose(found, shapes // factor)
    ]
    entries = max(64, CACHE_BYTES // int(5 * shapes.prod(axis=1).max()))
    read = lru_cache(entries)(read)

    @lru_cache(entries)
    def read_texture(index: int) -> Array:
        return texture(read(index))

    def verify(candidate: Candidate) -> Overlap | None:
        return confirm(candidate, read, read_texture, reach_px=factor - 1)

    search = _PairSearch(verify)
    search.compare(proposed, "comparing pairs")
    # The layout of a group implies pairs without common landmarks.
    distinct = [p for p in search.found.values() if not {p.a, p.b} & search.stand_in.keys()]
    implied = implied_candidates(distinct, shapes, SMALLEST_SHARED_AREA)
    search.compare(implied, "comparing neighbours")
    return sorted(search.found.values(), key=lambda pair: (pair.a, pair.b))


def group_images(images: int, overlapping: Iterable[tuple[int, int]]) -> list[int]:
    """Return a group number for each image: those that overlap, directly or in a chain, share it.

    Groups are numbered by their first image.
    """
    pairs = np.array(list(overlapping), dtype=np.int64).reshape(-1, 2)
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(images, images))
    _, groups = connected_components(links, directed=False)
    _, first = np.unique(groups, return_index=True)
    numbers = np.empty(len(first), dtype=np.int64)
    numbers[np.argsort(first)] = np.arange(len(first))
    return [int(number) for number in numbers[groups]]


def _reduced(pixels: Array, factor: int) -> Array:
    """Return the means of squares of `factor` pixels a side."""
    if factor == 1:
        return pixels
    height, width = (side // factor for side in pixels.shape)
    squares = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor)
    means: Array = squares.mean(axis=(1, 3))
    return means


class _PairSearch:
    """Verifies candidates, pair by pair.

    Attributes:
        found: the overlaps, by pair of images.
        stand_in: for each image of a repeated view, the image that represents it.
    """

    def __init__(self, verify: Callable[[Candidate], Overlap | None]) -> None:
        self.verify = verify
        self.found: dict[tuple[int, int], Overlap] = {}
        self.stand_in: dict[int, int] = {}
        self._linked: set[tuple[int, int]] = set()

    def compare(self, candidates: Iterable[Candidate], title: str) -> None:
        """Verify candidates; of several poses of a pair, use the most similar one."""
        # In order, so that the images of a pair are often still in memory.
        ordered = sorted(candidates)
        pairs = len({(each.a, each.b) for each in ordered})
        with (
            # Every thread of the pool would start more for its products, and wait for them.
            threadpool_limits(1, user_api="blas"),
            ThreadPoolExecutor(os.cpu_count()) as pool,
            tqdm(total=pairs, desc=title, leave=False, disable=None) as bar,
        ):
            for a, own in groupby(ordered, key=lambda each: each.a):
                ways = {b: list(each) for b, each in groupby(own, key=lambda each: each.b)}
                wanted = self._worth_comparing(a, ways)
                overlaps = [pair for pair in pool.map(self._best, wanted) if pair]
                self._note(a, overlaps)
                bar.update(len(ways))

    def _worth_comparing(self, a: int, ways: dict[int, list[Candidate]]) -> list[list[Candidate]]:
        """Return the candidates of `a` without those that its representative decides."""
        wanted: dict[tuple[int, int], list[Candidate]] = {}
        for b, candidates in ways.items():
            views = self._views(a, b)
            if views[0] != views[1] and views not in self._linked:
                wanted.setdefault(views, candidates)
        return list(wanted.values())

    def _note(self, a: int, overlaps: list[Overlap]) -> None:
        """Record the overlaps of `a`; of a view that very many show, one image represents all."""
        same = [pair for pair in overlaps if _same_view(pair)]
        many = a in self.stand_in or len(same) > MOST_SAME_VIEWS
        for pair in overlaps:
            stands = many and _same_view(pair) and pair.b not in self.stand_in
            if stands:
                self.stand_in[pair.b] = self.stand_in.get(a, a)
            self.found[pair.a, pair.b] = replace(pair, a_stands_for_b=stands)
            self._linked.add(self._views(pair.a, pair.b))

    def _views(self, a: int, b: int) -> tuple[int, int]:
        one, two = sorted((self.stand_in.get(a, a), self.stand_in.get(b, b)))
        return one, two

    def _best(self, ways: list[Candidate]) -> Overlap | None:
        best: Overlap | None = None
        for way in ways:
            if best and _same_way(best, way):
                continue
            found = self.verify(way)
            if found and (best is None or found.similarity > best.similarity):
                best = found
        return best


def _same_view(overlap: Overlap) -> bool:
    """Return whether two images show the same view, completely and without a shift."""
    return (
        overlap.turn == 0
        and overlap.shared_area >= SAME_VIEW_AREA
        and max(abs(overlap.shift_y), abs(overlap.shift_x)) <= NEAR_PX
    )


def _same_way(overlap: Overlap, way: Candidate) -> bool:
    """Return whether a candidate would only lead to an overlap that is already known."""
    return overlap.turn == way.turn and (
        max(abs(overlap.shift_y - way.shift_y), abs(overlap.shift_x - way.shift_x)) <= NEAR_PX
    )
