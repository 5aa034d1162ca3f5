"""Open every image once: readability, storage format, pixels."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from datasets import Dataset
from PIL import Image

from model_card.schema.run.data import SkippedImage
from space.inference.images.reader import UPRIGHT, DecodedImage
from trainer.data.images.decoding import decode_each
from trainer.data.overlap_search.orientations import Array
from trainer.inspection.report.schema import (
    ClassSchema,
    ConvertedImage,
    Duplicates,
    GrayLevels,
    SizeCount,
)

LEVELS, HISTOGRAM_BINS = 256, 32
_MODES = {
    "1": "black and white only, converted to gray",
    "P": "palette colors, converted to RGB",
    "PA": "palette colors, converted to RGB",
    "CMYK": "CMYK (made for print), converted to RGB",
    "YCbCr": "YCbCr, converted to RGB",
    "LAB": "CIE Lab, converted to RGB",
    "HSV": "HSV, converted to RGB",
    "I": "more than 8 bits a sample, scaled to 8",
}


@dataclass(frozen=True)
class ImageProperties:
    """Properties of one readable image.

    Attributes:
        digest: of size and decoded pixels; equal for images that are identical to the model.
        histogram: [gray level], in pixels.
        conversions: applied after decoding.
    """

    size_px: tuple[int, int]
    digest: str
    histogram: Array
    conversions: tuple[str, ...]


def check_images(
    split: Dataset, title: str
) -> tuple[Dataset, list[ImageProperties], list[SkippedImage], list[ConvertedImage]]:
    """Open all images of a split.

    Returns:
        the rows that can be read, with the column `size_px`; facts of each; the files that can't
        be read; and those that are converted.
    """
    readable, facts, bad = decode_each(split, f"checking {title}", _properties)
    converted = [
        ConvertedImage(file=file, conversion="; ".join(each.conversions))
        for file, each in zip(readable["file"][:], facts, strict=True)
        if each.conversions
    ]
    return readable, facts, bad, converted


def _properties(decoded: DecodedImage, image: Image.Image) -> ImageProperties:
    pixels = np.asarray(image)
    digest = hashlib.sha256(repr(image.size).encode() + pixels.tobytes()).hexdigest()
    gray = np.asarray(image.convert("L"))
    histogram = np.bincount(gray.ravel(), minlength=LEVELS)
    return ImageProperties(image.size, digest, histogram, _conversions(decoded))


def _conversions(decoded: DecodedImage) -> tuple[str, ...]:
    """List how an image differs from upright 8-bit gray or RGB."""
    mode = decoded.image.mode
    found = [_MODES["I"] if decoded.levels is not None else _MODES.get(mode)]
    if decoded.alpha is not None or decoded.image.has_transparency_data:
        found.append("transparency, shown on white")
    if decoded.orientation in UPRIGHT:
        found.append(f"rotated upright by its EXIF data (orientation {decoded.orientation})")
    return tuple(each for each in found if each)


def find_duplicates(
    files: Iterable[str], labels: Iterable[str], facts: Iterable[ImageProperties]
) -> list[Duplicates]:
    """Return the sets of images with the same pixels."""
    families: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for file, label, each in zip(files, labels, facts, strict=True):
        families[each.digest].append((file, label))
    return [
        Duplicates(
            files=[file for file, _ in family], labels=sorted({label for _, label in family})
        )
        for family in families.values()
        if len(family) > 1
    ]


def describe_class(label: str, facts: list[ImageProperties], surfaces: int) -> ClassSchema:
    """Return sizes and gray levels of the images of one class."""
    sizes = Counter(each.size_px for each in facts)
    return ClassSchema(
        label=label,
        images=len(facts),
        surfaces=surfaces,
        sizes=[SizeCount(size_px=size, images=n) for size, n in sizes.most_common()],
        gray=_gray_levels(np.sum([each.histogram for each in facts], axis=0)) if facts else None,
    )


def _gray_levels(histogram: Array) -> GrayLevels:
    levels, pixels = np.arange(LEVELS), histogram.sum()
    mean = float((levels * histogram).sum() / pixels)
    present = np.flatnonzero(histogram)
    return GrayLevels(
        mean=mean,
        deviation=float(np.sqrt((((levels - mean) ** 2) * histogram).sum() / pixels)),
        darkest=int(present[0]),
        brightest=int(present[-1]),
        histogram=(histogram.reshape(HISTOGRAM_BINS, -1).sum(axis=1) / pixels).tolist(),
    )
