"""The power law of learning curves: error = floor + scale × images^(-exponent).

Such laws describe the error of classifiers over the number of training images (Cortes et al., NIPS
1993; Hestness et al., arXiv:1712.00409). The floor and the scale are never negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FEWEST_POINTS = 3
SMALLEST_EXPONENT, LARGEST_EXPONENT = 0.1, 2.0
# The exponent is searched on a grid, then on finer grids between the neighbors of the best value.
_GRID, _REFINEMENTS = 41, 3


@dataclass(frozen=True)
class PowerLaw:
    """One or more fitted laws.

    Attributes:
        floor: error that no number of images removes, [...].
        scale: error above the floor with one image, [...].
        exponent: how fast it shrinks, [...].
    """

    floor: Array
    scale: Array
    exponent: Array

    def error(self, images: float) -> Array:
        """Return the error with this number of images, [...]."""
        return self.floor + self.scale * images**-self.exponent


def fit_power_law(counts: npt.ArrayLike, errors: npt.ArrayLike, weights: npt.ArrayLike) -> PowerLaw:
    """Fit one law to each row of errors by weighted least squares.

    For a given exponent, the best floor and scale have a closed form, so that the search has one
    dimension and no local minimum goes unseen.

    Args:
        counts: numbers of images, [count], at least three.
        errors: measured with each number, as fractions of 1, [..., count].
        weights: of the counts, the inverse of the variance of their errors, [count].

    Raises:
        ValueError: there are fewer than three counts.
    """
    n, y = np.asarray(counts, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    w = np.asarray(weights, dtype=np.float64)
    if len(n) < FEWEST_POINTS:
        raise ValueError(f"a power law needs {FEWEST_POINTS} counts, not {len(n)}")
    low = np.full(y.shape[:-1], np.log(SMALLEST_EXPONENT))
    high = np.full(y.shape[:-1], np.log(LARGEST_EXPONENT))
    for _ in range(1 + _REFINEMENTS):
        steps = np.linspace(low, high, _GRID, axis=-1)
        floor, scale, loss = _linear_fit(n, y, w, np.exp(steps))
        best = loss.argmin(axis=-1)[..., None]
        low, high = (
            np.take_along_axis(steps, np.clip(best + side, 0, _GRID - 1), axis=-1)[..., 0]
            for side in (-1, 1)
        )
    floor, scale, exponent = (
        np.take_along_axis(values, best, axis=-1)[..., 0]
        for values in (floor, scale, np.exp(steps))
    )
    return PowerLaw(floor, scale, exponent)


def _linear_fit(n: Array, y: Array, w: Array, exponents: Array) -> tuple[Array, Array, Array]:
    """Return floor, scale and weighted loss for each exponent, [..., exponent]."""
    x = n ** -exponents[..., None]
    y = y[..., None, :]
    total = w.sum()
    mean_x, mean_y = (x * w).sum(-1) / total, (y * w).sum(-1) / total
    spread = (w * (x - mean_x[..., None]) ** 2).sum(-1)
    slope = (w * (x - mean_x[..., None]) * (y - mean_y[..., None])).sum(-1) / spread
    scale = np.maximum(slope, 0)
    floor = mean_y - scale * mean_x
    through_zero = np.maximum((w * x * y).sum(-1) / (w * x * x).sum(-1), 0)
    scale, floor = np.where(floor < 0, through_zero, scale), np.maximum(floor, 0)
    loss = (w * (y - floor[..., None] - scale[..., None] * x) ** 2).sum(-1)
    return floor, scale, loss
