"""Decide at full resolution whether two images show the same piece of surface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from trainer.overlaps.candidates import Candidate
from trainer.overlaps.turns import Array, turned

# Between these two the eye sees texture; coarser is light, finer is noise and compression.
FINE_SIGMA_PX, COARSE_SIDE_PX, LEVELLING_SIDE_PX = 1.4, 27, 41
# Grey levels. Fainter texture than this is not amplified to full strength.
FAINTEST_TEXTURE = 0.5
# Of the smaller image; a little below the 15 % that users count on, to find those for certain.
SMALLEST_SHARED_AREA = 0.12
WORTH_A_CLOSER_LOOK = 0.3
SMALLEST_SIMILARITY = 0.7
# A straight line or a regular pattern also agrees with itself shifted; a surface does so less:
# what is lost by shifting must be so many times what noise and compression cost.
SMALLEST_DISTINCTION = 2.0
RIVAL_NEAREST_PX, RIVAL_FARTHEST_PX = 5, 24
MOST_STEPS = 8
ReadGrey = Callable[[int], Array]


@dataclass(frozen=True)
class Overlap:
    """Two images that show the same piece of surface.

    Image `b`, after `turn` (see `turns`), lies at (`shift_y`, `shift_x`) in image `a`.

    Attributes:
        shared_area: of the smaller image, as a fraction of 1.
        similarity: correlation of the texture in the shared area, at most 1.
        mean_difference: of the shared area's pixels, in grey levels, brightness as it is.
    """

    a: int
    b: int
    turn: int
    shift_y: int
    shift_x: int
    shared_area: float
    similarity: float
    mean_difference: float


def texture(pixels: Array) -> Array:
    """Return the texture of a grey image, with light evened out and all parts equally strong."""
    levels = pixels.astype(np.float32)
    band = ndimage.gaussian_filter(levels, FINE_SIGMA_PX, truncate=3)
    # Means of squares cost a tenth of wide Gaussians, and are wanted here only roughly.
    band -= ndimage.uniform_filter(levels, COARSE_SIDE_PX)
    strength = np.sqrt(ndimage.uniform_filter(band * band, LEVELLING_SIDE_PX).clip(0))
    levelled: Array = band / (strength + FAINTEST_TEXTURE)
    return levelled


def confirm(
    candidate: Candidate,
    read: ReadGrey,
    read_texture: ReadGrey,
    reach_px: int = 0,
) -> Overlap | None:
    """Find the exact shift near the proposed one and judge it; None if the surfaces differ.

    Args:
        candidate: the images and how they may lie.
        read: returns the image of an index as grey levels.
        read_texture: returns its `texture`.
        reach_px: how far off the proposed shift may be, beyond a few pixels.
    """
    a = read_texture(candidate.a)
    b = turned(read_texture(candidate.b), candidate.turn)
    offsets = range(-reach_px, reach_px + 1, 2) if reach_px else (0,)
    starts = [(candidate.shift_y + y, candidate.shift_x + x) for y in offsets for x in offsets]
    shift, likeness = _climb(a, b, max(starts, key=lambda start: _likeness(a, b, start)))
    if likeness < WORTH_A_CLOSER_LOOK:
        return None
    pixels_a, pixels_b = read(candidate.a), turned(read(candidate.b), candidate.turn)
    shared_a, shared_b = _shared(pixels_a, pixels_b, *shift)
    area = shared_a.size / min(pixels_a.size, pixels_b.size)
    if area < SMALLEST_SHARED_AREA:
        return None
    # Anew from the shared pixels alone: at its edges, what lies outside differs between the two.
    similarity, rival = _similarity_and_rival(texture(shared_a), texture(shared_b))
    if similarity < SMALLEST_SIMILARITY or (1 - rival) < SMALLEST_DISTINCTION * (1 - similarity):
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


def _shared(a: Array, b: Array, shift_y: int, shift_x: int) -> tuple[Array, Array]:
    """Return the parts of both images that cover each other, which may be empty."""
    top, left = max(0, shift_y), max(0, shift_x)
    bottom = max(top, min(a.shape[0], shift_y + b.shape[0]))
    right = max(left, min(a.shape[1], shift_x + b.shape[1]))
    return (
        a[top:bottom, left:right],
        b[top - shift_y : bottom - shift_y, left - shift_x : right - shift_x],
    )


def _likeness(a: Array, b: Array, shift: tuple[int, int]) -> float:
    """Return the correlation of two textures where they cover each other."""
    one, two = _shared(a, b, *shift)
    if one.size == 0:
        return -1.0
    scale = np.sqrt(np.vdot(one, one) * np.vdot(two, two))
    return float(np.vdot(one, two) / (scale + 1e-6))


def _climb(a: Array, b: Array, shift: tuple[int, int]) -> tuple[tuple[int, int], float]:
    """Go from a shift to the best one near it, a pixel at a time."""
    seen = {shift: _likeness(a, b, shift)}
    for _ in range(MOST_STEPS):
        for step_y in (-1, 0, 1):
            for step_x in (-1, 0, 1):
                near = shift[0] + step_y, shift[1] + step_x
                if near not in seen:
                    seen[near] = _likeness(a, b, near)
        best = max(seen, key=lambda place: seen[place])
        if best == shift or seen[best] < WORTH_A_CLOSER_LOOK:
            break
        shift = best
    return shift, seen[shift]


def _similarity_and_rival(a: Array, b: Array) -> tuple[float, float]:
    """Return how well two textures agree as they lie, and how well when shifted by a little."""
    a, b = a - a.mean(), b - b.mean()
    size = [fft.next_fast_len(side + RIVAL_FARTHEST_PX, real=True) for side in a.shape]
    products = fft.irfft2(fft.rfft2(a, size) * np.conj(fft.rfft2(b, size)), size)
    reach = RIVAL_FARTHEST_PX
    products = np.roll(products, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    offsets = np.abs(np.arange(-reach, reach + 1))
    # Fewer pixels meet when shifted; the rest of the sum is missing, not zero.
    met = np.outer(*(np.maximum(side - offsets, 0) / side for side in a.shape))
    scale = np.sqrt(np.vdot(a, a) * np.vdot(b, b)) + 1e-6
    likeness = products / (scale * np.maximum(met, 0.25))
    far = np.maximum(*np.meshgrid(offsets, offsets)) >= RIVAL_NEAREST_PX
    return float(products[reach, reach] / scale), float(likeness[far & (met > 0.25)].max())
