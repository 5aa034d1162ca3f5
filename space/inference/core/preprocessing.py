"""From an RGB image to the pixels that the network sees, as timm's evaluation transform does it.

Written with Pillow alone, since exported models run where timm and torchvision are not installed.
A test holds it equal to timm's transform.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from PIL import Image, ImageOps

from .arrays import Pixels
from .tiling import cut

BLACK = (0, 0, 0)


@dataclass(frozen=True)
class Preprocessing:
    """Scale and crop of an image, and the normalization of its pixels.

    Attributes:
        size_px: rows and columns of the network's input.
        interpolation: of the scaling, as Pillow calls it in lower case.
        crop_pct: share of the scaled image that is left after the crop.
        crop_mode: "squash" scales both sides independently; "center" scales the shorter side and
            crops the longer one; "border" scales the longer side and fills the rest.
        mean: of each color, between 0 and 1; the network's input is (pixel / 255 - mean) / std.
        std: standard deviation of each color.
    """

    size_px: tuple[int, int]
    interpolation: str
    crop_pct: float
    crop_mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_timm(cls, data_config: Mapping[str, Any]) -> Self:
        """Return what timm's `resolve_model_data_config` describes."""
        _, rows, columns = data_config["input_size"]
        return cls(
            size_px=(rows, columns),
            interpolation=data_config["interpolation"],
            crop_pct=data_config["crop_pct"],
            crop_mode=data_config["crop_mode"],
            mean=tuple(data_config["mean"]),
            std=tuple(data_config["std"]),
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what `dataclasses.asdict` made of one, with lists in place of tuples."""
        return cls(**{**value, **{name: tuple(value[name]) for name in ("size_px", "mean", "std")}})

    @property
    def covers_image(self) -> bool:
        """Whether the network sees the whole image."""
        return self.crop_mode == "squash" and self.crop_pct == 1

    def tiles(self, image: Image.Image, *, tile: bool) -> Pixels:
        """Return the pixels of the squares of an RGB image, or of all of it as the only one.

        Args:
            image: of any size.
            tile: whether to cut long images into squares.

        Returns:
            [tile, row, column, 3].
        """
        return np.stack([self.pixels(each) for each in (cut(image) if tile else [image])])

    def pixels(self, image: Image.Image) -> Pixels:
        """Return the pixels of an RGB image at the size of the input, [row, column, 3]."""
        fill = BLACK
        if self.crop_mode == "border":
            red, green, blue = (round(255 * level) for level in self.mean)
            fill = red, green, blue
        # Steel is gray, however it is stored: one color is scaled in place of three equal ones.
        scaled = (_gray(image) or image).resize(
            self._scaled_px(image.size), Image.Resampling[self.interpolation.upper()]
        )
        return np.asarray(_center(scaled.convert("RGB"), *self.size_px, fill))

    def region(self, size_px: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return the part of an image that the network sees: left, top, right, bottom in pixels.

        It is larger than the image where the rest is filled.

        Args:
            size_px: width and height of the image.
        """
        width, height = self._scaled_px(size_px)
        across, down = size_px[0] / width, size_px[1] / height
        rows, columns = self.size_px
        left, top = (width - columns) / 2 * across, (height - rows) / 2 * down
        return left, top, left + columns * across, top + rows * down

    def _scaled_px(self, size_px: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height to which an image is scaled before it is cropped."""
        rows, columns = (math.floor(side / self.crop_pct) for side in self.size_px)
        across, down = size_px[0] / columns, size_px[1] / rows
        if self.crop_mode == "squash":
            return columns, rows
        if self.crop_mode == "border":
            return _scaled(size_px, max(across, down))
        if rows == columns:
            width, height = (int(rows * side / min(size_px)) for side in size_px)
            return width, height
        return _scaled(size_px, min(across, down))


def _gray(image: Image.Image) -> Image.Image | None:
    """Return the one color of an RGB image whose three colors are equal; None for others."""
    first = image.getchannel(0)
    levels = first.tobytes()
    equal = all(image.getchannel(color).tobytes() == levels for color in (1, 2))
    return first if equal else None


def _scaled(size_px: tuple[int, int], ratio: float) -> tuple[int, int]:
    return max(1, round(size_px[0] / ratio)), max(1, round(size_px[1] / ratio))


def _center(image: Image.Image, rows: int, columns: int, fill: tuple[int, int, int]) -> Image.Image:
    """Return the center of an image; where it is smaller, it is filled up on both sides."""
    across, down = max(0, columns - image.width), max(0, rows - image.height)
    if across or down:
        border = across // 2, down // 2, (across + 1) // 2, (down + 1) // 2
        image = ImageOps.expand(image, border, fill)
    if image.size == (columns, rows):
        return image
    left, top = round((image.width - columns) / 2), round((image.height - rows) / 2)
    return image.crop((left, top, left + columns, top + rows))
