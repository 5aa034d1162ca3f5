"""The eight orientations of a rectangular image: quarter turns and mirror images.

A turn is a number from 0 to 7, of which each bit is a step, in this order: transpose (4), flip
vertically (2), flip horizontally (1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

TURNS = 8
NAMES = (
    "as it is",
    "mirrored left to right",
    "mirrored top to bottom",
    "turned by 180°",
    "mirrored along the main diagonal",
    "turned by 90° clockwise",
    "turned by 90° counterclockwise",
    "mirrored along the other diagonal",
)


def turned(pixels: Array, turn: int) -> Array:
    """Return a view of `pixels` [y, x] after a turn."""
    if turn & 4:
        pixels = pixels.T
    if turn & 2:
        pixels = pixels[::-1]
    if turn & 1:
        pixels = pixels[:, ::-1]
    return pixels


def moved_points(y: Array, x: Array, turn: Array, height: Array, width: Array) -> tuple[Array, ...]:
    """Return points of images of these sizes after a turn; all are arrays or numbers."""
    transposed = (turn & 4) > 0
    y, x = np.where(transposed, x, y), np.where(transposed, y, x)
    height, width = np.where(transposed, width, height), np.where(transposed, height, width)
    return (
        np.where((turn & 2) > 0, height - 1 - y, y),
        np.where((turn & 1) > 0, width - 1 - x, x),
    )


_PROBE = np.arange(9).reshape(3, 3)
_OUTCOMES = {turned(_PROBE, turn).tobytes(): turn for turn in range(TURNS)}
# COMPOSED[second, first] is the turn that equals `first` and then `second`.
COMPOSED = np.array(
    [
        [_OUTCOMES[turned(turned(_PROBE, first), second).tobytes()] for first in range(TURNS)]
        for second in range(TURNS)
    ]
)
INVERSE = np.array([int(np.flatnonzero(COMPOSED[:, turn] == 0)[0]) for turn in range(TURNS)])
