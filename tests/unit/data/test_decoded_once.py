"""Images of a split are decoded once while a cache is open, within its memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from PIL import Image

from space.inference.images.reader import read_image
from trainer.data.images import bit_depth, decoding
from trainer.data.images.decoding import decoded_once, open_image
from trainer.data.images.encoded import image_rows, stored_image

SIDE_PX = 8
IMAGE_BYTES = 3 * SIDE_PX * SIDE_PX


@pytest.fixture
def split(tmp_path: Path) -> Dataset:
    """Four gray images, each of another level."""
    files = [f"{number}.png" for number in range(4)]
    for number, file in enumerate(files):
        Image.new("RGB", (SIDE_PX, SIDE_PX), (10 * number,) * 3).save(tmp_path / file)
    stored = [stored_image(str(tmp_path / file)) for file in files]
    return image_rows(stored, [0] * 4, files, ["a"])


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The sources that were decoded."""
    sources: list[Any] = []

    def noted(source: Any, depth: int) -> Image.Image:
        sources.append(source)
        return read_image(source, depth)

    monkeypatch.setattr(decoding, "read_image", noted)
    return sources


def _levels(split: Dataset) -> list[Any]:
    with ThreadPoolExecutor(2) as pool:
        return [image.getpixel((0, 0)) for image in pool.map(open_image, split)]


def test_each_image_is_decoded_once(split: Dataset, decoded: list[Any]) -> None:
    with decoded_once(split):
        first, again = _levels(split), _levels(split)
        assert len(decoded) == 4
    assert first == again == [(10 * number,) * 3 for number in range(4)]
    _levels(split)
    assert len(decoded) == 8


def test_other_images_and_other_depths_are_decoded_apart(
    split: Dataset, decoded: list[Any]
) -> None:
    with decoded_once(split.select([1, 2])) as cache:
        _levels(split)
        open_image(split[1] | {bit_depth.COLUMN: 12})
        _levels(split)
    # Images 0 and 3 twice, 1 and 2 once, and 1 at another depth.
    assert len(decoded) == 7
    assert {file for file, _ in cache.images} == {"1.png", "2.png"}


def test_memory_is_bounded(split: Dataset, decoded: list[Any]) -> None:
    with decoded_once(split, most_bytes=2.5 * IMAGE_BYTES) as cache:
        expected = _levels(split)
        assert _levels(split) == expected
    assert len(cache.images) == 2
    assert len(decoded) == 4 + 2


def test_a_failure_closes_the_cache(split: Dataset) -> None:
    with pytest.raises(KeyError), decoded_once(split):
        raise KeyError
    assert decoding._open_caches == []
