"""Decide at full resolution whether two images show the same piece of surface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainer.data.overlap_search.candidates import Candidate
from trainer.data.overlap_search.orientations import Array, turned
from trainer.data.overlap_search.similarity import (
    likeness,
    mean_local_likeness,
    shared_parts,
    strongest_rival,
    texture,
)

# Of the smaller image; slightly below the documented 15 %, so that those are always found.
SMALLEST_SHARED_AREA = 0.12
WORTH_A_CLOSER_LOOK = 0.3
SMALLEST_SIMILARITY = 0.7
# A straight line or a regular pattern also matches itself when shifted; a surface matches less. The
# local loss by shifting must be this many times the loss by noise and compression, and the latter
# has a lower bound because a strong pattern can hide it.
SMALLEST_DISTINCTION = 2.0
SMALLEST_COST_OF_NOISE = 0.005
MOST_STEPS = 8
ReadGrey = Callable[[int], Array]


@dataclass(frozen=True)
class Overlap:
    """Two images that show the same piece of surface.

    Image `b`, after `turn` (see `turns`), lies at (`shift_y`, `shift_x`) in image `a`.

    Attributes:
        shared_area: of the smaller image, as a fraction of 1.
        similarity: correlation of the texture in the shared area, at most 1.
        mean_difference: of the shared area's pixels, in gray levels, brightness as it is.
        a_stands_for_b: whether both show one view that very many images show, and what `b` shares
            with others follows from `a`.
    """

    a: int
    b: int
    turn: int
    shift_y: int
    shift_x: int
    shared_area: float
    similarity: float
    mean_difference: float
    a_stands_for_b: bool = False


def confirm(
    candidate: Candidate,
    read: ReadGrey,
    read_texture: ReadGrey,
    reach_px: int = 0,
) -> Overlap | None:
    """Find the exact shift near the proposed one and verify it; None if the surfaces differ.

    Args:
        candidate: the images and their proposed pose.
        read: returns the image of an index as gray levels.
        read_texture: returns its `texture`.
        reach_px: largest error of the proposed shift, beyond a few pixels.
    """
    a = read_texture(candidate.a)
    b = turned(read_texture(candidate.b), candidate.turn)
    offsets = range(-reach_px, reach_px + 1, 2) if reach_px else (0,)
    starts = [(candidate.shift_y + y, candidate.shift_x + x) for y in offsets for x in offsets]
    shift, best = _climb(a, b, max(starts, key=lambda start: likeness(a, b, start)))
    if best < WORTH_A_CLOSER_LOOK:
        return None
    pixels_a, pixels_b = read(candidate.a), turned(read(candidate.b), candidate.turn)
    shared_a, shared_b = shared_parts(pixels_a, pixels_b, *shift)
    area = shared_a.size / min(pixels_a.size, pixels_b.size)
    if area < SMALLEST_SHARED_AREA:
        return None
    # Computed again from the shared pixels only: near its edges, the surroundings differ.
    one, two = (part - part.mean() for part in (texture(shared_a), texture(shared_b)))
    similarity = likeness(one, two)
    if similarity < SMALLEST_SIMILARITY or not _distinct(one, two):
        return None
    return Overlap(
        a=candidate.a,
        b=candidate.b,
        turn=candidate.turn,
        shift_y=shift[0],
        shift_x=shift[1],
        shared_area=area,
        similarity=similarity,
        mean_difference=float(np.abs(shared_a.astype(np.int16) - shared_b).mean()),
    )


def _climb(a: Array, b: Array, shift: tuple[int, int]) -> tuple[tuple[int, int], float]:
    """Climb from a shift to the best one near it, one pixel at a time."""
    seen = {shift: likeness(a, b, shift)}
    for _ in range(MOST_STEPS):
        for step_y in (-1, 0, 1):
            for step_x in (-1, 0, 1):
                near = shift[0] + step_y, shift[1] + step_x
                if near not in seen:
                    seen[near] = likeness(a, b, near)
        best = max(seen, key=lambda place: seen[place])
        if best == shift or seen[best] < WORTH_A_CLOSER_LOOK:
            break
        shift = best
    return shift, seen[shift]


def _distinct(a: Array, b: Array) -> bool:
    """Return whether two textures match much better at this shift than at any other."""
    enough = SMALLEST_DISTINCTION * (1 - mean_local_likeness(a, b) + SMALLEST_COST_OF_NOISE)
    # Shifting loses at most all similarity; computing the exact loss takes far longer.
    if enough > 1:
        return False
    return 1 - mean_local_likeness(a, b, strongest_rival(a, b)) >= enough
