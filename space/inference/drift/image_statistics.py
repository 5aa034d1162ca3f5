"""Statistics of an image that show faults of light, lens and sensor; no network is involved."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..core.arrays import Floats, Pixels

NAMES = (
    *("brightness", "clipped", "slope", "contrast", "finest", "fine", "medium", "coarse"),
    *("noise", "dead", "blocks", "direction"),
)
BLOCK_PX = 8
# They keep logarithms finite, and are smaller than what any corruption changes.
TINY = 1e-6
LEVEL = 1 / 255
OUTLIER = 0.25


def image_statistics(tiles: Pixels) -> Floats:
    """Return the statistics of what the network sees of an image, mean over its tiles: [statistic].

    Args:
        tiles: [tile, row, column, 3], 0 to 255.
    """
    statistics: Floats = np.mean([_of_tile(tile) for tile in tiles], axis=0)
    return statistics


def _of_tile(pixels: Pixels) -> Floats:
    # Exact, and several times faster than a mean over the last axis.
    total = pixels[..., 0].astype(np.float32) + pixels[..., 1] + pixels[..., 2]
    gray = total / np.float32(3) / 255
    mean = float(gray.mean()) + LEVEL
    across, down = np.diff(gray, axis=1), np.diff(gray, axis=0)
    energies = [_energy(each) for each in _pyramid(gray)]
    curve = np.abs(gray[:, :-2] - 2 * gray[:, 1:-1] + gray[:, 2:])
    around = (gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]) / 4
    outliers = float((np.abs(gray[1:-1, 1:-1] - around) > OUTLIER).mean())
    return np.array(
        [
            np.log2(mean),
            np.log10(float((gray > 1 - LEVEL / 2).mean()) + 1e-3),
            np.log(_slope(gray) / mean + 0.02),
            np.log(float(gray.std()) / mean + 1e-3),
            np.log((float(np.square(curve).mean()) + TINY) / (energies[0] + TINY)),
            np.log((energies[0] + TINY) / (energies[1] + TINY)),
            np.log((energies[1] + TINY) / (energies[2] + TINY)),
            np.log((energies[2] + TINY) / (float(gray.var()) + TINY)),
            np.log(_median(curve) / mean + LEVEL),
            np.log10(outliers + 1e-4),
            np.log(_seams(across) * _seams(down.T)) / 2,
            _direction(gray),
        ]
    )


def _median(values: Floats) -> float:
    """Return the median, as numpy does, which sorts more and looks for non-finite numbers."""
    half = values.size // 2
    parted = np.partition(values, half, axis=None)
    middle = parted[half]
    return float(middle if values.size % 2 else np.mean([parted[:half].max(), middle]))


def _pyramid(gray: Floats) -> list[Floats]:
    """Return the image, and the image at half and at a quarter of its resolution."""
    levels = [gray]
    for _ in range(2):
        last = levels[-1]
        rows, columns = (max(2, side // 2 * 2) for side in last.shape)
        even = last[:rows, :columns]
        levels.append((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)
    return levels


def _energy(gray: Floats) -> float:
    """Return the mean square of the differences of neighbors."""
    squares = [np.square(np.diff(gray, axis=axis)) for axis in (0, 1)]
    return float(np.concatenate([each.ravel() for each in squares]).mean())


def _slope(gray: Floats) -> float:
    """Return the length of the brightness gradient, from one side to the other."""
    slopes = []
    for axis in (0, 1):
        place = np.linspace(-0.5, 0.5, gray.shape[axis])
        slopes.append(float(gray.mean(axis=1 - axis) @ place / (place @ place)))
    return math.hypot(*slopes)


def _seams(across: Floats) -> float:
    """Return how much larger the differences at the seams of 8-pixel blocks are: JPEG has them."""
    steps: npt.NDArray[np.float64] = np.abs(across).mean(axis=0, dtype=np.float64)
    seam = np.arange(1, len(steps) + 1) % BLOCK_PX == 0
    if not seam.any():
        return 1.0
    return float((steps[seam].mean() + TINY) / (steps[~seam].mean() + TINY))


def _direction(gray: Floats) -> float:
    """Return how much the edges of the image share one direction, 0 to 1: the coherence."""
    # Differences that share a pixel would be correlated.
    across, down = gray[1:-1, 2:] - gray[1:-1, :-2], gray[2:, 1:-1] - gray[:-2, 1:-1]
    one, two = float(np.square(across).mean()), float(np.square(down).mean())
    both = float((across * down).mean())
    return math.hypot(one - two, 2 * both) / (one + two + TINY)
