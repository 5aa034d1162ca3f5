"""Cut long images into squares, so that scaling does not erase thin defects.

A strip of 1600 × 256 pixels, scaled to a square, loses five sixths of its length and with it most
of the contrast of a scratch across it. Squares keep their proportions. The network processes one
square at a time; `pool` combines the outputs for all squares of an image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from .arrays import Floats

# Up to this aspect ratio an image is scaled as a whole; 4:3 and 5:4 are below it.
NEARLY_SQUARE = 1.5
# Squares in one forward pass; bounds the memory that a long strip needs.
TILES_AT_ONCE = 32


def tile_starts(width: int, height: int) -> list[int]:
    """Return the offsets of an image's squares along its longer side, in px.

    There are as many squares as cover the image, evenly spaced; they overlap if it is no multiple
    of the shorter side. A nearly square image is a single tile.
    """
    short, long = sorted((width, height))
    if long < NEARLY_SQUARE * short:
        return [0]
    last = math.ceil(long / short) - 1
    return [number * (long - short) // last for number in range(last + 1)]


def cut(image: Image.Image) -> list[Image.Image]:
    """Return the squares of a long image, in order; a nearly square image is returned unchanged."""
    starts, side = tile_starts(*image.size), min(image.size)
    if len(starts) == 1:
        return [image]
    if image.width > image.height:
        return [image.crop((start, 0, start + side, side)) for start in starts]
    return [image.crop((0, start, side, start + side)) for start in starts]


def scaled_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Return the (width, height) at which the squares of an image have sides of `side` px."""
    if len(tile_starts(width, height)) == 1:
        return side, side
    # Rounded up: slightly less than a multiple of the side would give one square fewer.
    if width > height:
        return math.ceil(width * side / height), side
    return side, math.ceil(height * side / width)


def pool(logits: Floats, counts: Sequence[int]) -> Floats:
    """Return the logits of images, [image, class], from those of their tiles, [tile, class].

    For each class: the logarithm of the mean of the exponentials. It is close to the maximum where
    one tile stands out, close to the mean where all agree, and independent of their number.

    Args:
        logits: the tiles of all images, one image after the other.
        counts: tiles of each image.
    """
    if all(count == 1 for count in counts):
        return logits
    return np.stack([_log_mean_exp(tiles) for tiles in _by_image(logits, counts)])


def _log_mean_exp(tiles: Floats) -> Floats:
    most = tiles.max(axis=0)
    mean: Floats = most + np.log(np.exp(tiles - most).mean(axis=0))
    return mean


def _by_image(values: Floats, counts: Sequence[int]) -> list[Floats]:
    return np.split(values, np.cumsum(counts)[:-1])


def pool_weights(logits: Floats) -> Floats:
    """Return the contribution of each tile of one image to its logits: the gradient of `pool`.

    Args:
        logits: [tile, class].

    Returns:
        [tile, class]; the tiles of a class add up to 1.
    """
    powers = np.exp(logits - logits.max(axis=0))
    weights: Floats = powers / powers.sum(axis=0)
    return weights


def mean_of_tiles(described: Floats, counts: Sequence[int]) -> Floats:
    """Return the mean over the tiles of each image, [image, statistic].

    Args:
        described: [tile, statistic], one image after the other.
        counts: tiles of each image.
    """
    if all(count == 1 for count in counts):
        return described
    return np.stack([tiles.mean(axis=0) for tiles in _by_image(described, counts)])


def stitch(maps: Floats, width: int, height: int) -> Floats:
    """Join the maps of an image's tiles; where two overlap, the larger value counts.

    Args:
        maps: at least 0, [tile, row, column].
        width: of the image, in px.
        height: of the image, in px.

    Returns:
        [row, column]; for an image of one tile, its map.
    """
    starts, side = tile_starts(width, height), min(width, height)
    # Along the longer side, which becomes the second axis and is transposed back at the end.
    upright = height > width
    if upright:
        maps = maps.transpose(0, 2, 1)
    rows, columns = maps.shape[1:]
    places = [start * columns // side for start in starts]
    whole = np.zeros((rows, places[-1] + columns), maps.dtype)
    for place, tile in zip(places, maps, strict=True):
        covered = whole[:, place : place + columns]
        np.maximum(covered, tile, out=covered)
    return whole.T if upright else whole
