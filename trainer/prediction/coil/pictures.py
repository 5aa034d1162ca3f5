"""The strips of the web page: stitched pictures, with their defects in percent of the picture."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

from space.inference.predictor import ImageError
from trainer.data.overlap_search.orientations import turned
from trainer.prediction.coil.defects import Defect
from trainer.prediction.coil.strips import Place, Strip
from trainer.prediction.coil.view import Coil, Piece

# Of one picture; a long strip has many pixels and little height.
MOST_PIXELS, LONGEST_SIDE_PX = 1_000_000, 16_000
# Pictures of all strips would be gigabytes for a large folder; those with most images have one.
MOST_PICTURES = 200
JPEG_QUALITY = 75
# Between images.
BACKGROUND = (128, 128, 128)


def shown_pieces(coil: Coil) -> list[Piece]:
    """Return the pieces of several images, those with most images first."""
    several = [piece for piece in coil.pieces if len(piece.strip.places) > 1]
    return sorted(several, key=lambda piece: -len(piece.strip.places))


def strip_cards(
    coil: Coil, read: Callable[[str], Image.Image], orders: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Yield what the page shows of each piece of several images.

    Args:
        coil: the pieces.
        read: returns the RGB image of a path.
        orders: number of each image on the page, by its name.
    """
    for shown, piece in enumerate(shown_pieces(coil)):
        strip = piece.strip
        upright = strip.height > strip.width
        size = (strip.height, strip.width) if upright else (strip.width, strip.height)
        scale = min(1.0, (MOST_PIXELS / (size[0] * size[1])) ** 0.5, LONGEST_SIDE_PX / size[0])
        yield {
            "number": piece.number,
            "images": [orders[coil.crops[place.image].name] for place in strip.places],
            "size": [strip.width, strip.height],
            "shown": [max(1, round(side * scale)) for side in size],
            "upright": upright,
            "by_crop": piece.by_crop.total(),
            "open": piece.outcomes["unsure"] + piece.outcomes["unknown"],
            "picture": _stitched(coil, strip, scale, read, upright=upright)
            if shown < MOST_PICTURES
            else None,
            "defects": [
                {
                    "label": defect.label,
                    "box": _box(defect, strip, upright=upright),
                    "images": [orders[coil.crops[image].name] for image in defect.images],
                }
                for defect in piece.defects
            ],
        }


def _stitched(
    coil: Coil, strip: Strip, scale: float, read: Callable[[str], Image.Image], *, upright: bool
) -> str:
    """Return the images of a strip in their places, as a data URL; the long side lies across."""
    size = (max(1, round(strip.width * scale)), max(1, round(strip.height * scale)))
    canvas = Image.new("RGB", size, BACKGROUND)
    for place in strip.places:
        try:
            image = read(coil.crops[place.image].path)
        except ImageError:
            # The file was removed or changed after it was predicted; its place stays gray.
            continue
        canvas.paste(_tile(image, place, scale), (int(place.x * scale), int(place.y * scale)))
    if upright:
        canvas = canvas.transpose(Image.Transpose.ROTATE_90)
    content = io.BytesIO()
    canvas.save(content, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def _tile(image: Image.Image, place: Place, scale: float) -> Image.Image:
    """Return an image as it lies on the strip, scaled; rounded up, so that no seam is left."""
    size = (math.ceil(place.width * scale), math.ceil(place.height * scale))
    channels = np.asarray(image).transpose(2, 0, 1)
    pixels = np.dstack([turned(channel, place.turn) for channel in channels])
    return Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)


def _box(defect: Defect, strip: Strip, *, upright: bool) -> list[float]:
    """Return left, top, width and height of a defect in percent of the picture."""
    x, y, width, height = defect.x, defect.y, defect.width, defect.height
    across, down = strip.width, strip.height
    if upright:
        # A quarter turn counterclockwise: what was right is at the top.
        x, y, width, height = y, strip.width - x - width, height, width
        across, down = down, across
    box = (x / across, y / down, width / across, height / down)
    return [round(100 * share, 3) for share in box]
