"""An image file as PNG: the same samples, upright, without metadata."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from .reader import UPRIGHT, DecodedImage

Samples = np.ndarray[Any, Any]
SIGNATURE = b"\x89PNG\r\n\x1a\n"
# By channels: gray, gray with opacity, RGB, RGB with opacity.
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
# Each byte is stored as the difference to the same channel of the pixel to its left.
FILTER_SUB = 1
EFFORT = 4


def png_of(decoded: DecodedImage) -> bytes:
    """Return a PNG of the decoded samples at their full depth, turned upright.

    It is written here because Pillow can't write color of 16 bits, and copies profiles and texts
    of the original file.
    """
    if decoded.levels is None:
        return _png(_eight_bit(decoded.image, decoded.orientation))
    return _png(_deep(decoded.levels, decoded.alpha, decoded.orientation))


def _eight_bit(image: Image.Image, orientation: int) -> Samples:
    """Return the upright picture, [row, column, channel], uint8."""
    opaque = "L" if image.mode in ("1", "L") else "RGB"
    mode = "RGBA" if image.has_transparency_data else opaque
    samples = np.asarray(_upright(image.convert(mode), orientation))
    return samples.reshape(*samples.shape[:2], -1)


def _deep(levels: Samples, alpha: Samples | None, orientation: int) -> Samples:
    """Return the upright samples and their opacity, [row, column, channel], uint16."""
    samples = levels if alpha is None else np.dstack([levels, alpha])
    channels = [Image.fromarray(samples[:, :, number]) for number in range(samples.shape[2])]
    turned = [np.asarray(_upright(channel, orientation), np.uint16) for channel in channels]
    return np.dstack(turned)


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


def _png(samples: Samples) -> bytes:
    """Return the PNG of samples, [row, column, channel], uint8 or uint16."""
    height, width, channels = samples.shape
    depth = 8 * samples.itemsize
    rows = samples.astype(samples.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    pixel_bytes = channels * samples.itemsize
    lines = np.full((height, 1 + rows.shape[1]), FILTER_SUB, np.uint8)
    lines[:, 1:] = rows
    lines[:, 1 + pixel_bytes :] -= rows[:, :-pixel_bytes]
    header = struct.pack(">IIBBBBB", width, height, depth, COLOR_TYPES[channels], 0, 0, 0)
    pixels = zlib.compress(lines.tobytes(), EFFORT)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
