"""Primitives for drawn steel: noise of any grain size, shading and soft dots, as square arrays.

All arithmetic is in 64-bit floats from a given random generator, so a drawing depends on nothing
else.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

SIZE_PX = 200

Array = npt.NDArray[np.float64]
Rng = np.random.Generator

ROWS: Array = np.arange(SIZE_PX, dtype=np.float64)[:, None]
COLUMNS: Array = np.arange(SIZE_PX, dtype=np.float64)[None, :]


@lru_cache(maxsize=256)
def _gaussian(sigma_px: float) -> Array:
    """Return the matrix, [pixel, node], that turns white noise into noise of unit variance.

    Wide Gaussians need few nodes, so that coarse shading costs next to nothing.
    """
    step_px = max(1.0, sigma_px / 2)
    margin_px = 3 * sigma_px
    nodes = np.arange(-margin_px, SIZE_PX + margin_px + step_px, step_px)
    weights = np.exp(-0.5 * ((ROWS - nodes) / sigma_px) ** 2)
    normalized: Array = weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return normalized


def noise(rng: Rng, sigma_y: float, sigma_x: float) -> Array:
    """Return an image of Gaussian noise, mean 0 and variance 1, with grains of the given size."""
    down, across = _gaussian(sigma_y), _gaussian(sigma_x)
    white = rng.standard_normal((down.shape[1], across.shape[1]))
    return down @ white @ across.T


def profile(rng: Rng, sigma_px: float) -> Array:
    """Return smooth noise along one line, mean 0 and variance 1."""
    weights = _gaussian(sigma_px)
    return weights @ rng.standard_normal(weights.shape[1])


def fibres(rng: Rng, length_px: float) -> Array:
    """Return noise of fine grinding marks, which run obliquely across the strip."""
    straight = noise(rng, 0.8, length_px)
    shift = rng.uniform(-0.45, 0.1) * COLUMNS + 2 * profile(rng, 60)
    whole = np.floor(shift)
    fraction = shift - whole
    source = (ROWS - whole).astype(np.intp) % SIZE_PX
    upper = np.take_along_axis(straight, source - 1, axis=0)
    return (1 - fraction) * np.take_along_axis(straight, source, axis=0) + fraction * upper


def ramp(value: Array, softness: float) -> Array:
    """Return 0 where `value` is well below 0, 1 where it is well above, smooth between."""
    t = np.clip(value / softness + 0.5, 0, 1)
    smooth: Array = t * t * (3 - 2 * t)
    return smooth


def stamp(canvas: Array, y: Array, x: Array, radius_px: Array, strength: Array) -> None:
    """Draw soft round dots into `canvas`; where they overlap, the strongest counts."""
    reach = int(np.ceil(2.5 * radius_px.max(initial=0)))
    offset = np.arange(-reach, reach + 1)
    row = np.rint(y).astype(np.intp)[:, None, None] + offset[:, None]
    column = np.rint(x).astype(np.intp)[:, None, None] + offset
    square = (row - y[:, None, None]) ** 2 + (column - x[:, None, None]) ** 2
    dots = strength[:, None, None] * np.exp(-0.5 * square / radius_px[:, None, None] ** 2)
    row, column, dots = np.broadcast_arrays(row, column, dots)
    inside = (row >= 0) & (row < SIZE_PX) & (column >= 0) & (column < SIZE_PX) & (dots > 0.01)
    np.maximum.at(canvas, (row[inside], column[inside]), dots[inside])


def lamp(rng: Rng, fall_y: float, fall_x: float) -> Array:
    """Return a brightness gradient: 1 in the middle, at the edges changed by up to the falls."""
    slope_y, slope_x = rng.uniform(-fall_y, fall_y), rng.uniform(-fall_x, fall_x)
    return 1 + slope_y * (ROWS / 100 - 1) + slope_x * (COLUMNS / 100 - 1)
