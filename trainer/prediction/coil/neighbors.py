"""Find the overlapping images among those that were predicted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import disable_progress_bars

from model_card.formatting import counted
from space.inference.images.reader import ImageError
from trainer.data.images.bit_depth import with_bit_depth
from trainer.data.images.decoding import decode_each
from trainer.data.images.encoded import image_rows, stored_image
from trainer.data.overlap_search import Overlap
from trainer.data.overlap_search.orientations import Array
from trainer.data.splits.overlap_groups import find_surfaces
from trainer.prediction.coil.crop import Crop
from trainer.text.names import listed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Neighbors:
    """Images and their overlaps.

    Attributes:
        crops: those that can still be read.
        shapes: [image, (height, width)] in pixels.
        links: overlapping pairs, by index.
    """

    crops: list[Crop]
    shapes: Array
    links: list[Overlap]


def find_neighbors(crops: Sequence[Crop], bit_depth: int, cache_dir: Path | None) -> Neighbors:
    """Compare all images with each other; the result is cached by their content.

    Args:
        crops: the images.
        bit_depth: of the model's images.
        cache_dir: folder of cached searches; None is the user's cache folder.

    Raises:
        DataError: the cached result is damaged.
    """
    disable_progress_bars()
    images, here = [], []
    for crop in crops:
        try:
            images.append(stored_image(crop.path))
        except ImageError:
            continue
        here.append(crop)
    # The search is the same for all classes.
    rows = image_rows(images, [0] * len(here), [crop.name for crop in here], ["image"])
    rows = with_bit_depth(rows, bit_depth)
    rows, _, _ = decode_each(rows, "reading", lambda decoded, image: None)
    files: list[str] = rows["file"][:]
    number = {file: place for place, file in enumerate(files)}
    gone = [crop.name for crop in crops if crop.name not in number]
    if gone:
        # They were removed or changed after they were predicted.
        logger.warning("%s can't be read again: %s.", counted(len(gone), "image"), listed(gone, 3))
    links = [
        Overlap(
            number[pair.file_a],
            number[pair.file_b],
            pair.turn,
            pair.shift_y,
            pair.shift_x,
            pair.shared_area,
            pair.similarity,
            pair.mean_difference,
        )
        for pair in (find_surfaces(rows, cache_dir).pairs if files else ())
    ]
    shapes = np.array([size[::-1] for size in rows["size_px"][:]], np.int64).reshape(-1, 2)
    return Neighbors([crop for crop in crops if crop.name in number], shapes, links)
