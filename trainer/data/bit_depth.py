"""The bit depth of a data set: found once, from all its images of more than 8 bits.

Cameras of 10, 12 or 14 bits store their samples in 16, mostly from the lowest bit on. Scaled from
16 to 8 bits, 10-bit images would keep 4 of 256 gray levels. One image does not show how many bits
are meant, for it may be dark; the images of a data set together do, and the tags of some files.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import pyarrow
from datasets import Dataset, DatasetDict, Features, Value
from datasets.table import InMemoryTable
from tqdm import tqdm

from model_card.formatting import counted, enumeration
from space.inference.images.reader import (
    BIT_DEPTHS,
    ImageError,
    decode_image,
    has_deep_samples,
    read_content,
)
from trainer.data.encoded_image import image_source

COLUMN = "bit_depth"
# What is taken for images whose samples have 8 bits: a 16-bit image that comes later is full range.
FULL_DEPTH = BIT_DEPTHS[-1]
# Images whose brightest sample reaches a sixteenth of the range are no dark ones of full depth.
FEWER_BITS = 4
# As dark images differ in brightness, few of them just fit a lower depth.
NEAR_FULL = 0.9
# A darker image says nothing on its depth.
DARKEST_SIGN = 64


@dataclass(frozen=True)
class Samples:
    """The samples of an image of more than 8 bits.

    Attributes:
        brightest: the largest of them.
        bits: smallest usual depth that holds them all, or that its tags name.
        tagged: whether tags name it.
    """

    brightest: int
    bits: int
    tagged: bool


@dataclass(frozen=True)
class BitDepth:
    """Bits of a sample.

    Attributes:
        bits: of the data set; 16 if no image has more than 8.
        images: how many images have more than 8 bits.
        fewer: by depth, how many of them seem to be stored with fewer bits than the others.
    """

    bits: int
    images: int
    fewer: dict[int, int]

    def mixture(self) -> str | None:
        """Return a sentence on images of different depths; None if there are none."""
        if not self.fewer:
            return None
        rest = self.images - sum(self.fewer.values())
        counts = [(self.bits, rest), *sorted(self.fewer.items(), reverse=True)]
        groups = enumeration([f"{counted(n, 'image')} of {bits} bits" for bits, n in counts])
        return (
            f"{groups}, all stored in 16: the {self.bits} bits of the deepest are scaled to 8 for "
            "all, which leaves the others nearly black. Store all images with the same depth."
        )


def find_bit_depth(parts: DatasetDict) -> BitDepth:
    """Look at all images of more than 8 bits; files that can't be read are left to later checks."""
    found: list[Samples] = []
    for name, part in parts.items():
        found += _samples_of_part(part, name)
    bits = max((each.bits for each in found), default=FULL_DEPTH)
    return BitDepth(bits=bits, images=len(found), fewer=_fewer_bits(found, bits))


def with_bit_depth(parts: DatasetDict, depth: BitDepth) -> DatasetDict:
    """Add the column `bit_depth`, by which `trainer.data.sources.open_image` reads each row."""
    return DatasetDict({name: _with_column(part, depth.bits) for name, part in parts.items()})


def depth_of(row: dict[str, Any]) -> int:
    """Return the bit depth of a row; full range if no data set has given it one."""
    return int(row.get(COLUMN, FULL_DEPTH))


def _with_column(part: Dataset, bits: int) -> Dataset:
    """Add the column by Arrow; after `add_column` an empty selection takes no further column."""
    if len(part.data) != len(part):
        part = part.flatten_indices()
    column = pyarrow.array([bits] * len(part), pyarrow.int64())
    info = part.info.copy()
    info.features = Features({**part.features, COLUMN: Value("int64")})
    table = InMemoryTable(part.data.table.append_column(COLUMN, column))
    return Dataset(table, info=info, split=part.split)


def _samples_of_part(part: Dataset, title: str) -> list[Samples]:
    with ThreadPoolExecutor() as pool:
        # By index, so that the bytes of the images are not all in memory at once.
        looked = pool.map(lambda index: _samples(part[index]), range(len(part)))
        bar = tqdm(
            looked,
            f"bit depth of {title}",
            len(part),
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
    # The check of all images says why this one can't be used.
    except ImageError:
        return None
    if decoded.bit_depth is None or decoded.brightest is None:
        return None
    return Samples(decoded.brightest, decoded.bit_depth, decoded.tagged_depth is not None)


def _fewer_bits(found: list[Samples], bits: int) -> dict[int, int]:
    """Return, by depth, how many images seem to have fewer bits than the data set.

    Dark images of full depth fit into fewer bits, too. What tells them apart: tags; a brightest
    sample below a sixteenth of the range; or that many reach just the top of a lower depth.
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
