"""Aspect ratios: how much long images are squashed, and how many tiles they are cut into."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from space.inference.core.tiling import tile_starts

logger = logging.getLogger(__name__)

# At this aspect ratio, thin defects across the image lose half of their width.
SQUASHED = 2.0
SizePx = Sequence[int]


def aspect_ratio(size_px: SizePx) -> float:
    """Return the long side divided by the short side: at least 1."""
    return max(size_px) / min(size_px)


def tile_counts(sizes_px: Iterable[SizePx], *, tile: bool) -> list[int]:
    """Return the number of network inputs of each image: its tiles, or 1 for the whole image.

    Args:
        sizes_px: (width, height) of each image.
        tile: whether long images are cut.
    """
    return [len(tile_starts(*size)) if tile else 1 for size in sizes_px]


def report_shapes(sizes_px: Sequence[SizePx], *, tile: bool) -> None:
    """Log how many images are squashed, or how many tiles they are cut into.

    Args:
        sizes_px: (width, height) of each image.
        tile: whether long images are cut.
    """
    if tile:
        counts = tile_counts(sizes_px, tile=True)
        if max(counts) == 1:
            logger.info("--tile cuts nothing: all images are nearly square.")
            return
        logger.info(
            "%d of %d images are cut into tiles: up to %d an image, %d in all.",
            sum(count > 1 for count in counts),
            len(counts),
            max(counts),
            sum(counts),
        )
        return
    ratios = [aspect_ratio(size) for size in sizes_px]
    long = sum(ratio >= SQUASHED for ratio in ratios)
    if long:
        logger.warning(
            "%d of %d images are squashed, up to %.1f:1, so thin defects fade; --tile cuts them "
            "into squares.",
            long,
            len(ratios),
            max(ratios),
        )
