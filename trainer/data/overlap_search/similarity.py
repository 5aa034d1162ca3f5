"""Measure the similarity of two textures, aligned and shifted, globally and locally."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from trainer.data.overlap_search.orientations import Array

# Between these scales lies texture; coarser is lighting, finer is noise and compression.
FINE_SIGMA_PX, COARSE_SIDE_PX, LEVELLING_SIDE_PX = 1.4, 27, 41
# Gray levels. Fainter texture than this is not amplified to full strength.
FAINTEST_TEXTURE = 0.5
# At smaller shifts, all but the finest texture resembles itself.
RIVAL_NEAREST_PX = 5
# With a smaller share of common pixels, even noise reaches a high correlation somewhere.
RIVAL_SMALLEST_SHARE = 0.25
PLACE_SIDE_PX = 11


def texture(pixels: Array) -> Array:
    """Return the texture of a gray image, normalized for local brightness and contrast."""
    levels = pixels.astype(np.float32)
    band = ndimage.gaussian_filter(levels, FINE_SIGMA_PX, truncate=3)
    # Box means cost a tenth of wide Gaussians and are accurate enough here.
    band -= ndimage.uniform_filter(levels, COARSE_SIDE_PX)
    strength = np.sqrt(ndimage.uniform_filter(band * band, LEVELLING_SIDE_PX).clip(0))
    levelled: Array = band / (strength + FAINTEST_TEXTURE)
    return levelled


def shared_parts(a: Array, b: Array, shift_y: int, shift_x: int) -> tuple[Array, Array]:
    """Return the regions of both images that overlap, which may be empty."""
    top, left = max(0, shift_y), max(0, shift_x)
    bottom = max(top, min(a.shape[0], shift_y + b.shape[0]))
    right = max(left, min(a.shape[1], shift_x + b.shape[1]))
    return (
        a[top:bottom, left:right],
        b[top - shift_y : bottom - shift_y, left - shift_x : right - shift_x],
    )


def likeness(a: Array, b: Array, shift: tuple[int, int] = (0, 0)) -> float:
    """Return the correlation of two textures where they overlap."""
    one, two = shared_parts(a, b, *shift)
    if one.size == 0:
        return -1.0
    scale = np.sqrt(np.vdot(one, one) * np.vdot(two, two))
    return float(np.vdot(one, two) / (scale + 1e-6))


def mean_local_likeness(a: Array, b: Array, shift: tuple[int, int] = (0, 0)) -> float:
    """Return the mean of the local correlation over all positions, each with the same weight.

    If two strong lines coincide by chance, the textures correlate as a whole; the plain
    steel beside the lines does not.
    """
    one, two = shared_parts(a, b, *shift)
    both, of_one, of_two = (
        ndimage.uniform_filter(product, PLACE_SIDE_PX) for product in (one * two, one**2, two**2)
    )
    return float((both / np.sqrt((of_one * of_two).clip(0) + 1e-4)).mean())


def strongest_rival(a: Array, b: Array) -> tuple[int, int]:
    """Return the shift, not a small one, at which two textures of one size are most similar.

    On a regular pattern or a straight line it matches as well as no shift; on a surface, worse.
    """
    # Padded for shifts of up to half a side; larger ones are wrong and are ignored.
    size = [fft.next_fast_len(side + side // 2, real=True) for side in a.shape]
    products = fft.irfft2(fft.rfft2(a, size) * np.conj(fft.rfft2(b, size)), size)
    shifts_y, shifts_x = (np.arange(-(side // 2), side // 2 + 1) for side in a.shape)
    met = np.outer(1 - np.abs(shifts_y) / a.shape[0], 1 - np.abs(shifts_x) / a.shape[1])
    energy = _energies(a, shifts_y, shifts_x) * _energies(b, -shifts_y, -shifts_x)
    correlation = products[np.ix_(shifts_y, shifts_x)] / np.sqrt(energy.clip(0) + 1e-6)
    near = np.ix_(np.abs(shifts_y) < RIVAL_NEAREST_PX, np.abs(shifts_x) < RIVAL_NEAREST_PX)
    correlation[near] = -1
    correlation[met < RIVAL_SMALLEST_SHARE] = -1
    row, column = np.unravel_index(correlation.argmax(), correlation.shape)
    return int(shifts_y[row]), int(shifts_x[column])


def _energies(values: Array, shifts_y: Array, shifts_x: Array) -> Array:
    """Return the sum of squares of the region shared with a shifted image of the same size."""
    sums = np.pad((values.astype(np.float64) ** 2).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = values.shape
    top, bottom = np.maximum(shifts_y, 0), np.minimum(height, height + shifts_y)
    left, right = np.maximum(shifts_x, 0), np.minimum(width, width + shifts_x)
    energies: Array = (
        sums[np.ix_(bottom, right)]
        - sums[np.ix_(top, right)]
        - sums[np.ix_(bottom, left)]
        + sums[np.ix_(top, left)]
    )
    return energies
