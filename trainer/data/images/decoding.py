"""Decode the images of rows like the published model does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import psutil
from datasets import Dataset, List, Value
from PIL import Image
from tqdm import tqdm

from model_card.schema.run.data import SkippedImage
from space.inference.images.reader import (
    DecodedImage,
    ImageError,
    decode_image,
    read_content,
    read_image,
)
from trainer.data.images.bit_depth import depth_of
from trainer.data.images.encoded import image_source

Described = TypeVar("Described")


# The share of free memory that `decoded_once` may take.
CACHE_SHARE = 0.1
BYTES_PER_PIXEL = 3


class DecodedCache:
    """Decoded images of one split, at the size of their files.

    Args:
        files: names of the images.
        most_bytes: bound of the memory; images beyond it are decoded each time.
    """

    def __init__(self, files: set[str], most_bytes: float) -> None:
        self.files, self.left_bytes = files, most_bytes
        self.images: dict[tuple[str, int], Image.Image] = {}

    def read(self, row: dict[str, Any]) -> Image.Image:
        """Return the image of a row; several threads may ask for different rows."""
        depth = depth_of(row)
        key = row["file"], depth
        image = self.images.get(key)
        if image is None:
            image = read_image(image_source(row), depth)
            size_bytes = BYTES_PER_PIXEL * image.width * image.height
            if size_bytes <= self.left_bytes:
                self.left_bytes -= size_bytes
                self.images[key] = image
        return image


_open_caches: list[DecodedCache] = []


@contextmanager
def decoded_once(split: Dataset, most_bytes: float | None = None) -> Iterator[DecodedCache]:
    """Let `open_image` decode each image of a split once, for as long as the context lasts.

    The images that it returns are shared: they must not be changed.

    Args:
        split: with the column `file`.
        most_bytes: bound of the memory; by default a tenth of what is free.
    """
    if most_bytes is None:
        most_bytes = CACHE_SHARE * psutil.virtual_memory().available
    cache = DecodedCache(set(split["file"][:]), most_bytes)
    _open_caches.append(cache)
    try:
        yield cache
    finally:
        _open_caches.remove(cache)


def open_image(row: dict[str, Any]) -> Image.Image:
    """Decode the image of a row like the published model does.

    Rows without a bit depth are taken as full range.
    """
    for cache in _open_caches:
        if row.get("file") in cache.files:
            return cache.read(row)
    return read_image(image_source(row), depth_of(row))


def decode_each(
    rows: Dataset, title: str, describe: Callable[[DecodedImage, Image.Image], Described]
) -> tuple[Dataset, list[Described], list[SkippedImage]]:
    """Decode every image of a split once.

    Args:
        rows: with the columns `image` and `file`.
        title: of the progress bar.
        describe: takes the stored and the upright image; called by several threads.

    Returns:
        the rows that can be read, with the column `size_px`; what `describe` returned for each of
        them; and the files that can't be read, with the reason.
    """
    good: list[int] = []
    sizes_px: list[list[int]] = []
    facts: list[Described] = []
    bad: list[SkippedImage] = []
    files = rows["file"][:]

    def outcome(row: dict[str, Any]) -> tuple[list[int], Described] | str:
        try:
            decoded = decode_image(read_content(image_source(row)))
            image = decoded.to_rgb(depth_of(row))
        except ImageError as error:
            return str(error)
        return list(image.size), describe(decoded, image)

    with ThreadPoolExecutor() as pool:
        outcomes = pool.map(outcome, rows)
        bar = tqdm(outcomes, title, len(rows), unit="image", leave=False, disable=None)
        for index, result in enumerate(bar):
            if isinstance(result, str):
                bad.append(SkippedImage(file=files[index], reason=result))
                continue
            good.append(index)
            sizes_px.append(result[0])
            facts.append(result[1])
    # The type is given because a list of no results would have none.
    readable = rows if len(good) == len(rows) else rows.select(good)
    readable = readable.add_column("size_px", sizes_px, feature=List(Value("int64")))
    return readable, facts, bad
