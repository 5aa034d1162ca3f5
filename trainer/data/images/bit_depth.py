"""The bit depth of a dataset, determined once from all its images of more than 8 bits.

Cameras of 10, 12 or 14 bits store their samples in 16, mostly in the lower bits. Scaled from 16 to
8 bits, 10-bit images would be left with 4 of 256 gray levels. One dark image does not show the
depth; all images of a dataset together do, and so do the tags of some files.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import pyarrow
from datasets import Dataset, DatasetDict, Value
from tqdm import tqdm

from model_card.formatting import counted, enumeration
from space.inference.images.reader import (
    BIT_DEPTHS,
    ImageError,
    decode_image,
    has_deep_samples,
    read_content,
)
from trainer.data.images.encoded import image_source, with_column

COLUMN = "bit_depth"
# For datasets of 8-bit images: a later 16-bit image is taken as full range.
FULL_DEPTH = BIT_DEPTHS[-1]
# An image whose brightest sample reaches a sixteenth of the range is not a dark 16-bit image.
FEWER_BITS = 4
# Dark images differ in brightness, so few of them just reach the maximum of a lower depth.
NEAR_FULL = 0.9
# A darker image does not show its depth.
DARKEST_SIGN = 64


@dataclass(frozen=True)
class Samples:
    """The samples of an image of more than 8 bits.

    Attributes:
        brightest: the largest of them.
        bits: smallest usual depth that holds them all, or the depth in the tags.
        tagged: whether the depth is from tags.
    """

    brightest: int
    bits: int
    tagged: bool


@dataclass(frozen=True)
class BitDepth:
    """Bits of a sample.

    Attributes:
        bits: of the dataset; 16 if no image has more than 8.
        images: number of images of more than 8 bits.
        fewer: by depth, the number of images that seem to have fewer bits than the others.
    """

    bits: int
    images: int
    fewer: dict[int, int]

    def mixture(self) -> str | None:
        """Return a sentence on images of different depths; None if all have the same depth."""
        if not self.fewer:
            return None
        rest = self.images - sum(self.fewer.values())
        counts = [(self.bits, rest), *sorted(self.fewer.items(), reverse=True)]
        groups = enumeration([f"{counted(n, 'image')} of {bits} bits" for bits, n in counts])
        return (
            f"{groups}, all stored in 16: {self.bits} bits are scaled to 8 for "
            "all images, so the others are nearly black. Store all images with the same depth."
        )


def find_bit_depth(splits: DatasetDict) -> BitDepth:
    """Read all images of more than 8 bits; later checks report files that can't be read."""
    found: list[Samples] = []
    for name, dataset in splits.items():
        found += _samples_of_split(dataset, name)
    bits = max((each.bits for each in found), default=FULL_DEPTH)
    return BitDepth(bits=bits, images=len(found), fewer=_fewer_bits(found, bits))


def with_bit_depth(rows: Dataset, bits: int) -> Dataset:
    """Add the column `bit_depth`, by which `open_image` decodes each row."""
    column = pyarrow.array([bits] * len(rows), pyarrow.int64())
    return with_column(rows, COLUMN, column, Value("int64"))


def depth_of(row: dict[str, Any]) -> int:
    """Return the bit depth of a row; full range if the column is missing."""
    return int(row.get(COLUMN, FULL_DEPTH))


def _samples_of_split(dataset: Dataset, title: str) -> list[Samples]:
    with ThreadPoolExecutor() as pool:
        # By index, so that not all encoded images are in memory at once.
        samples = pool.map(lambda index: _samples(dataset[index]), range(len(dataset)))
        bar = tqdm(
            samples,
            f"bit depth of {title}",
            len(dataset),
            unit="image",
            leave=False,
            disable=None,
        )
        return [samples for samples in bar if samples is not None]


def _samples(row: dict[str, Any]) -> Samples | None:
    """Return the samples of an image; None if they have 8 bits, or the image can't be read."""
    try:
        source = image_source(row)
        if not has_deep_samples(source):
            return None
        decoded = decode_image(read_content(source))
    # The check of all images reports why this one can't be used.
    except ImageError:
        return None
    if decoded.bit_depth is None or decoded.brightest is None:
        return None
    return Samples(decoded.brightest, decoded.bit_depth, decoded.tagged_depth is not None)


def _fewer_bits(found: list[Samples], bits: int) -> dict[int, int]:
    """Return, by depth, the number of images that seem to have fewer bits than the dataset.

    Dark images of full depth need fewer bits, too. An image counts as one of fewer bits by its
    tags, by its brightest sample, or because many images just reach the top of a lower depth.
    """
    fewer: Counter[int] = Counter()
    for depth in BIT_DEPTHS:
        group = [each for each in found if each.bits == depth < bits]
        group = [each for each in group if each.tagged or each.brightest >= DARKEST_SIGN]
        tagged = sum(each.tagged for each in group)
        near_full = len(group) > 1 and median(e.brightest for e in group) >= NEAR_FULL * (
            2**depth - 1
        )
        count = len(group) if bits - depth >= FEWER_BITS or near_full else tagged
        if count:
            fewer[depth] = count
    return dict(fewer)
