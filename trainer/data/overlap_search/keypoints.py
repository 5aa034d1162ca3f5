"""Describe small patches of a surface independently of quarter turns and mirroring.

A landmark is a point whose brightness gradient lies clearly in one of the eight octants. Rotating
the patch so that the gradient is in the first octant makes its description the same for all quarter
turns and mirror images, without eight descriptions. Points and patches are small and dense because
two images may share only a strip along an edge, and plain surfaces have no corners for detectors
like SIFT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from trainer.data.overlap_search.orientations import TURNS, Array, turned

# Chosen on photographs of strip: 15 % of a 200 px image is a strip of 30 px, and inside it a patch
# of 19 px still has room.
PATCH_RADIUS_PX, SAMPLE_STEP_PX = 9, 3
SLOPE_SIGMA_PX, SMOOTHING_SIGMA_PX = 3.0, 1.2
NEIGHBOURHOOD_PX = 9
PIXELS_PER_LANDMARK = 150
# Gray levels a pixel. Below lie the steps of 8 bits on a surface without any texture.
SMALLEST_SLOPE = 0.02

_OFFSETS = np.arange(-PATCH_RADIUS_PX, PATCH_RADIUS_PX + 1, SAMPLE_STEP_PX)
DESCRIPTION_SIZE = len(_OFFSETS) ** 2
_TURNED_SAMPLES = np.stack(
    [
        turned(np.arange(DESCRIPTION_SIZE).reshape(len(_OFFSETS), -1), turn).ravel()
        for turn in range(TURNS)
    ]
)


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of one image.

    Attributes:
        descriptions: [landmark, sample], float16 to save memory, of mean 0 and length 1.
        y: rows, in pixels.
        x: columns, in pixels.
        turns: the turn that brings each patch into its standard position.
    """

    descriptions: Array
    y: Array
    x: Array
    turns: Array


def find_landmarks(pixels: Array) -> Landmarks:
    """Find and describe the landmarks of a gray image [y, x] of 8-bit levels."""
    levels = pixels.astype(np.float32)
    slope_y = ndimage.gaussian_filter(levels, SLOPE_SIGMA_PX, order=(1, 0), truncate=3)
    slope_x = ndimage.gaussian_filter(levels, SLOPE_SIGMA_PX, order=(0, 1), truncate=3)
    size_y, size_x = np.abs(slope_y), np.abs(slope_x)
    # Distance of the gradient from the nearest border between two octants.
    clearness = np.minimum(np.minimum(size_y, size_x), np.abs(size_y - size_x))
    peaks = (clearness == ndimage.maximum_filter(clearness, NEIGHBOURHOOD_PX)) & (
        clearness > SMALLEST_SLOPE
    )
    # Closer to the edge, the patch and its smoothing would reach outside the image.
    margin = PATCH_RADIUS_PX + 2
    inner = np.zeros_like(peaks)
    inner[margin:-margin, margin:-margin] = True
    y, x = np.nonzero(peaks & inner)
    clearest = np.argsort(-clearness[y, x], kind="stable")[: pixels.size // PIXELS_PER_LANDMARK]
    y, x = y[clearest], x[clearest]
    smooth = ndimage.gaussian_filter(levels, SMOOTHING_SIGMA_PX, truncate=2.5)
    patches = smooth[
        y[:, None, None] + _OFFSETS[None, :, None], x[:, None, None] + _OFFSETS[None, None, :]
    ].reshape(len(y), DESCRIPTION_SIZE)
    patches -= patches.mean(axis=1, keepdims=True)
    patches /= np.linalg.norm(patches, axis=1, keepdims=True) + 1e-6
    turns = _standard_turns(slope_y[y, x], slope_x[y, x])
    return Landmarks(
        descriptions=np.take_along_axis(patches, _TURNED_SAMPLES[turns], axis=1).astype(np.float16),
        y=y.astype(np.int32),
        x=x.astype(np.int32),
        turns=turns.astype(np.int8),
    )


def _standard_turns(slope_y: Array, slope_x: Array) -> Array:
    """Return the turns after which 0 < gradient in x < gradient in y."""
    transposed = np.abs(slope_y) < np.abs(slope_x)
    down = np.where(transposed, slope_x, slope_y)
    right = np.where(transposed, slope_y, slope_x)
    turns: Array = 4 * transposed + 2 * (down < 0) + (right < 0)
    return turns
