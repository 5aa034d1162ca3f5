"""Pictures of the page: small inlined files, with positions in percent of the picture."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from trainer.data.overlap_search.layout import lay_out
from trainer.data.overlap_search.orientations import Array, turned
from trainer.data.overlap_search.similarity import texture
from trainer.data.overlap_search.verify import Overlap
from trainer.data.splits.overlap_groups import SharedSurface
from trainer.inspection.report.schema import Group

LONGEST_SIDE_PX, LONGEST_MOSAIC_PX = 320, 1600
JPEG_QUALITY = 85
# Gray levels per standard deviation of the texture.
TEXTURE_CONTRAST = 50


@dataclass(frozen=True)
class Box:
    """A box in a picture, in percent of its width and height."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class PairOfPictures:
    """Two images side by side, the second one rotated to match the first."""

    pair: SharedSurface
    picture_a: str
    picture_b: str
    box_a: Box
    box_b: Box
    ratio_a: float
    ratio_b: float
    texture_a: str | None
    texture_b: str | None


def data_url(image: Image.Image, longest_side_px: int = LONGEST_SIDE_PX) -> str:
    """Return a picture as a `data:` URL, scaled down if it is large."""
    image = image.copy()
    image.thumbnail((longest_side_px, longest_side_px), Image.Resampling.LANCZOS)
    pixels = np.asarray(image.convert("RGB"))
    if (pixels == pixels[..., :1]).all():
        image = image.convert("L")
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def show_pair(
    pair: SharedSurface, a: Image.Image, b: Image.Image, *, with_texture: bool
) -> PairOfPictures:
    """Return both images of a pair with their shared area, and optionally its texture."""
    b = turn_image(b, pair.turn)
    left, top = max(0, pair.shift_x), max(0, pair.shift_y)
    width = min(a.width, pair.shift_x + b.width) - left
    height = min(a.height, pair.shift_y + b.height) - top
    corner_b = left - pair.shift_x, top - pair.shift_y
    textures = [
        _texture(image, (x, y, x + width, y + height)) if with_texture else None
        for image, (x, y) in ((a, (left, top)), (b, corner_b))
    ]
    return PairOfPictures(
        pair=pair,
        picture_a=data_url(a),
        picture_b=data_url(b),
        box_a=_box(left, top, width, height, a),
        box_b=_box(*corner_b, width, height, b),
        ratio_a=a.width / a.height,
        ratio_b=b.width / b.height,
        texture_a=textures[0],
        texture_b=textures[1],
    )


def _texture(image: Image.Image, box: tuple[int, int, int, int]) -> str:
    """Return the texture of a shared area, as the search compares it."""
    levels = texture(np.asarray(image.convert("L").crop(box)))
    gray = np.clip(127.5 + TEXTURE_CONTRAST * levels, 0, 255).astype(np.uint8)
    return data_url(Image.fromarray(gray).convert("RGB"))


def turn_image(image: Image.Image, turn: int) -> Image.Image:
    """Return an RGB image after a turn (see `trainer.data.overlap_search.orientations`)."""
    channels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    return Image.fromarray(np.dstack([turned(channel, turn) for channel in channels]))


def _box(left: int, top: int, width: int, height: int, image: Image.Image) -> Box:
    across, down = 100 / image.width, 100 / image.height
    return Box(left * across, top * down, width * across, height * down)


def mosaic(
    group: Group,
    pairs: Sequence[SharedSurface],
    sizes_px: dict[str, tuple[int, int]],
    read: Callable[[str], Image.Image],
) -> Image.Image:
    """Assemble the images of a group in their positions on the surface, on white."""
    place = {file: index for index, file in enumerate(group.files)}
    shapes = np.array([sizes_px[file][::-1] for file in group.files])
    overlaps = [
        Overlap(
            place[pair.file_a],
            place[pair.file_b],
            pair.turn,
            pair.shift_y,
            pair.shift_x,
            pair.shared_area,
            pair.similarity,
            pair.mean_difference,
        )
        for pair in pairs
        if pair.file_a in place
    ]
    [poses] = lay_out(overlaps, shapes)
    turns = np.array([poses[index].turn for index in range(len(shapes))])
    corners = np.array([(poses[index].y, poses[index].x) for index in range(len(shapes))])
    sizes = np.where((turns & 4)[:, None] > 0, shapes[:, ::-1], shapes)
    corners -= corners.min(axis=0)
    height, width = (corners + sizes).max(axis=0)
    scale = min(1.0, LONGEST_MOSAIC_PX / max(height, width))
    canvas = Image.new("RGB", (round(width * scale), round(height * scale)), "white")
    for file, turn, (y, x), (rows, columns) in zip(group.files, turns, corners, sizes, strict=True):
        tile = turn_image(read(file), int(turn))
        # Rounded outwards, so that no white seam is left between neighbors.
        tile = tile.resize((math.ceil(columns * scale), math.ceil(rows * scale)))
        canvas.paste(tile, (math.floor(x * scale), math.floor(y * scale)))
    return canvas


def histogram_path(histogram: Sequence[float], width: int, height: int) -> str:
    """Return the outline of a histogram as an SVG path; the highest bin takes the full height."""
    shares: Array = np.asarray(histogram)
    tops = height * (1 - shares / shares.max())
    edges = np.linspace(0, width, len(tops) + 1)
    steps = [
        f"L{x:.1f} {top:.1f}L{next_x:.1f} {top:.1f}"
        for x, next_x, top in zip(edges[:-1], edges[1:], tops, strict=True)
    ]
    return f"M0 {height}{''.join(steps)}L{width} {height}Z"
