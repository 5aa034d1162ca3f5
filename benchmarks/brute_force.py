"""Compare images at every shift: slow, but complete. All images have the same even size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

from benchmarks.drawn_strips import Pixels
from trainer.data.overlap_search.similarity import shared_parts, texture
from trainer.synthetic.brushes import Array

# The search begins a little below: a pair that shares less could match at a wrong place with 15 %.
SOUGHT_AREA, SMALLEST_SHARED_AREA = 0.12, 0.15
WORTH_VERIFYING = 0.25


@dataclass(frozen=True)
class Agreement:
    """Image `b` lies at (`shift_y`, `shift_x`) in image `a`; how well the pixels agree there."""

    a: int
    b: int
    shift_y: int
    shift_x: int
    shared_area: float
    correlation: float
    mean_difference: float


def strict_pairs(images: Sequence[Pixels]) -> list[Agreement]:
    """Return the pairs that share 15 % of their pixels: correlation > 0.98, mean difference < 3."""
    verified = (_verified(images, *place) for place in best_places(images))
    return [
        pair
        for pair in verified
        if pair.shared_area >= SMALLEST_SHARED_AREA
        and pair.correlation > 0.98
        and pair.mean_difference < 3
    ]


def best_places(images: Sequence[Pixels]) -> Iterator[tuple[int, int, int, int]]:
    """Yield (a, b, shift_y, shift_x) for pairs that agree a little, shifts to 2 px."""
    textures = np.stack([texture(_halved(image)) for image in images])
    height, width = textures.shape[1:]
    size = 2 * height, 2 * width
    spectra = fft.rfft2(textures, size)
    shifts_y, shifts_x = (np.r_[:side, 0, 1 - side : 0] for side in (height, width))
    area = np.outer(1 - np.abs(shifts_y) / height, 1 - np.abs(shifts_x) / width)
    area[height], area[:, width] = 0, 0
    too_small = area < SOUGHT_AREA
    # The energy of the shared area is the correlation of the squares with a plain rectangle.
    squares = fft.rfft2(textures**2, size)
    rectangle = fft.rfft2(np.ones((height, width), np.float32), size)
    met_a = fft.irfft2(squares * rectangle.conj(), size)
    met_b = fft.irfft2(rectangle * squares.conj(), size)
    for a in range(len(images) - 1):
        products = fft.irfft2(spectra[a] * spectra[a + 1 :].conj(), size)
        scale = np.sqrt((met_a[a] * met_b[a + 1 :]).clip(0) + 1e-3)
        correlation = products / scale
        correlation[:, too_small] = -1
        flat = correlation.reshape(len(correlation), -1)
        for offset, best in enumerate(flat.argmax(axis=1)):
            if flat[offset, best] > WORTH_VERIFYING:
                row, column = divmod(int(best), size[1])
                yield a, a + 1 + offset, 2 * int(shifts_y[row]), 2 * int(shifts_x[column])


def _halved(image: Pixels) -> Array:
    height, width = (side // 2 for side in image.shape)
    means: Array = image.reshape(height, 2, width, 2).mean(axis=(1, 3))
    return means


def _verified(images: Sequence[Pixels], a: int, b: int, shift_y: int, shift_x: int) -> Agreement:
    """Return the best agreement at full resolution near a shift known to 2 px."""
    best = Agreement(a, b, shift_y, shift_x, 0.0, -1.0, 255.0)
    for y in range(shift_y - 2, shift_y + 3):
        for x in range(shift_x - 2, shift_x + 3):
            one, two = (area.astype(float) for area in shared_parts(images[a], images[b], y, x))
            difference = float(np.abs(one - two).mean())
            if difference < best.mean_difference:
                one, two = one - one.mean(), two - two.mean()
                scale = np.sqrt((one**2).sum() * (two**2).sum()) + 1e-9
                correlation = float((one * two).sum() / scale)
                area = one.size / images[a].size
                best = Agreement(a, b, y, x, area, correlation, difference)
    return best
