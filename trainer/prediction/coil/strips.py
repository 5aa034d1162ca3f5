"""Lay out overlapping images as strips: one position for each image, from all its links.

A link is a pair of images that the overlap search found, with their relative pose. Links are
redundant: a wrong one contradicts the others, and is dropped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.sparse.linalg import spsolve

from trainer.data.overlap_search import Overlap, group_images
from trainer.data.overlap_search.layout import (
    Pose,
    lay_out,
    onto_surface,
    relative_poses,
    turned_size,
)
from trainer.data.overlap_search.orientations import Array

# A link is exact to a pixel or two; a wrong one is off by much more.
INCONSISTENT_PX = 6.0
# From the reach of a long chain's drift down to that.
SCALES_PX = (64.0, 32.0, 16.0, 8.0, *[INCONSISTENT_PX] * 6)
# Keeps the equations solvable where no other link holds an image.
SMALLEST_WEIGHT = 1e-6


@dataclass(frozen=True)
class Place:
    """The place of an image on its strip.

    Attributes:
        image: its index.
        turn: orientation on the strip, see `trainer.data.overlap_search.orientations`.
        y: row of its upper left corner on the strip, in px.
        x: column of that corner, in px.
        height: in px, after the turn.
        width: in px, after the turn.
    """

    image: int
    turn: int
    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True)
class Strip:
    """Images that overlap, directly or in a chain, in one coordinate frame.

    The first image is upright.

    Attributes:
        places: of the images, ordered by index.
        height: in px.
        width: in px.
    """

    places: tuple[Place, ...]
    height: int
    width: int


def lay_out_strips(links: Sequence[Overlap], shapes: Array) -> tuple[list[Strip], list[Overlap]]:
    """Place all images; one that overlaps no other is a strip of its own.

    Args:
        links: overlapping pairs, a < b.
        shapes: [image, (height, width)] in pixels.

    Returns:
        the strips, ordered by first image, and the links that contradict the others.
    """
    strips: list[Strip] = []
    dropped: list[Overlap] = []
    waiting = [list(links)]
    placed: set[int] = set()
    while waiting:
        for connected in _connected(waiting.pop(), len(shapes)):
            corners, turns, wrong = _solve(connected, shapes)
            if wrong:
                # Without them the images may fall apart.
                dropped += wrong
                waiting.append([link for link in connected if link not in wrong])
                continue
            strips.append(_strip(corners, turns, shapes))
            placed |= corners.keys()
    alone = set(range(len(shapes))) - placed
    strips += [_strip({image: np.zeros(2)}, {image: 0}, shapes) for image in alone]
    return sorted(strips, key=lambda strip: strip.places[0].image), dropped


def _connected(links: Sequence[Overlap], images: int) -> Iterator[list[Overlap]]:
    """Yield the links of each connected group of images."""
    group = group_images(images, ((link.a, link.b) for link in links))
    by_group: dict[int, list[Overlap]] = defaultdict(list)
    for link in links:
        by_group[group[link.a]].append(link)
    yield from by_group.values()


def _solve(
    links: list[Overlap], shapes: Array
) -> tuple[dict[int, Array], dict[int, int], list[Overlap]]:
    """Return the corner (y, x) and the turn of each image, and the links that do not fit.

    A spanning tree of the best confirmed links gives turns and approximate corners; least squares
    over all links, in which outliers lose their weight, gives the corners (iteratively reweighted
    least squares with Geman and McClure's weights).
    """
    [poses] = lay_out(_spanning_tree(links, shapes), shapes)
    images = sorted(poses)
    number = {image: place for place, image in enumerate(images)}
    corners = np.array([(poses[image].y, poses[image].x) for image in images], dtype=np.float64)
    ends, steps = [], []
    for link in links:
        frame = poses[link.a]
        relative = Pose(link.turn, link.shift_y, link.shift_x)
        pose = onto_surface(frame, shapes[link.a], relative, shapes[link.b])
        fits = pose.turn == poses[link.b].turn
        ends.append((number[link.a], number[link.b]))
        steps.append((pose.y - frame.y, pose.x - frame.x) if fits else (np.inf, np.inf))
    a, b = np.array(ends).T
    step = np.array(steps, dtype=np.float64)
    turn_fits = np.isfinite(step[:, 0])
    for scale in SCALES_PX:
        error = np.abs(corners[b] - corners[a] - step).max(axis=1)
        weights = np.maximum((1 + (error / scale) ** 2) ** -2.0, SMALLEST_WEIGHT)[turn_fits]
        corners = _least_squares(a[turn_fits], b[turn_fits], step[turn_fits], weights, len(images))
    error = np.abs(corners[b] - corners[a] - step).max(axis=1)
    wrong = [link for link, px in zip(links, error, strict=True) if px > INCONSISTENT_PX]
    return (
        dict(zip(images, corners, strict=True)),
        {image: poses[image].turn for image in images},
        wrong,
    )


def _least_squares(a: Array, b: Array, step: Array, weights: Array, images: int) -> Array:
    """Return corners [image, (y, x)], the first one at 0, that fit weighted steps from a to b."""
    rows = np.concatenate([a, b, a, b])
    columns = np.concatenate([a, b, b, a])
    values = np.concatenate([weights, weights, -weights, -weights])
    normal = coo_array((values, (rows, columns)), shape=(images, images)).tocsc()
    right = np.zeros((images, 2))
    np.add.at(right, b, weights[:, None] * step)
    np.add.at(right, a, -weights[:, None] * step)
    corners = np.zeros((images, 2))
    corners[1:] = np.reshape(spsolve(normal[1:, 1:], right[1:]), (-1, 2))
    return corners


def _spanning_tree(links: list[Overlap], shapes: Array) -> list[Overlap]:
    """Return links that hold all images together, preferring confirmed ones, then large ones."""
    confirmed = _confirmations(links, shapes)
    # Below 0, as the tree of the smallest sum is found and 0 means no link.
    values = [-1 - n - link.shared_area for n, link in zip(confirmed, links, strict=True)]
    size = 1 + max(link.b for link in links)
    # SciPy before 1.15 takes 32-bit indices alone.
    ends = np.array([(link.a, link.b) for link in links], np.int32).T
    tree = minimum_spanning_tree(coo_array((values, ends), shape=(size, size)))
    chosen = set(zip(*map(np.ndarray.tolist, tree.nonzero()), strict=True))
    # In this order the first image is the one that stays upright.
    return sorted(
        (link for link in links if (link.a, link.b) in chosen), key=lambda link: (link.a, link.b)
    )


def _confirmations(links: list[Overlap], shapes: Array) -> list[int]:
    """Return for each link the number of third images through which the same pose follows."""
    beside: dict[int, dict[int, Pose]] = defaultdict(dict)
    for link in links:
        beside[link.a][link.b], beside[link.b][link.a] = relative_poses(link, shapes)

    def confirms(a: int, b: int, third: int) -> bool:
        direct = beside[a][b]
        around = onto_surface(beside[a][third], shapes[third], beside[third][b], shapes[b])
        apart = max(abs(around.y - direct.y), abs(around.x - direct.x))
        return around.turn == direct.turn and apart <= INCONSISTENT_PX

    return [
        sum(confirms(link.a, link.b, third) for third in beside[link.a].keys() & beside[link.b])
        for link in links
    ]


def _strip(corners: dict[int, Array], turns: dict[int, int], shapes: Array) -> Strip:
    images = sorted(corners)
    exact = np.array([corners[image] for image in images])
    whole = np.rint(exact - exact.min(axis=0)).astype(int)
    places = [
        Place(
            image, turns[image], int(y), int(x), *map(int, turned_size(shapes[image], turns[image]))
        )
        for image, (y, x) in zip(images, whole, strict=True)
    ]
    return Strip(
        places=tuple(places),
        height=max(place.y + place.height for place in places),
        width=max(place.x + place.width for place in places),
    )
