"""The same pictures as 8 bits and as 10, 12, 14 and 16 bits stored in 16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LABELS = ("Crazing", "Pitted")
SIDE_PX = 40


def picture(seed: int) -> np.ndarray[Any, Any]:
    """Return noise of all 256 gray levels: [row, column], uint8."""
    rng = np.random.default_rng(seed)
    levels: np.ndarray[Any, Any] = rng.integers(0, 256, (SIDE_PX, SIDE_PX), dtype=np.uint8)
    levels[0, :2] = 0, 255
    return levels


def stored(levels: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, Any]:
    """Return samples of more bits, with noise in those that 8 bits don't hold."""
    if bits == 8:
        return levels
    noise = np.random.default_rng(bits).integers(0, 2 ** (bits - 8), levels.shape)
    samples: np.ndarray[Any, Any] = (levels.astype(np.uint16) << (bits - 8)) | noise
    return samples.astype(np.uint16)


def write_set(root: Path, bits: int, images: int = 6, suffix: str = ".tif") -> Path:
    """Write class folders of pictures, stored with so many bits."""
    for number, label in enumerate(LABELS):
        (root / label).mkdir(parents=True)
        for index in range(images):
            samples = stored(picture(100 * number + index), bits)
            Image.fromarray(samples).save(root / label / f"{index:03}{suffix}")
    return root
