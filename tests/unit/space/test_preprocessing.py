"""Preprocessing by Pillow alone, equal to timm's transform in every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform

from space.inference.core.preprocessing import Preprocessing

SIDES = st.integers(1, 90)
INPUT = st.integers(16, 48)


@given(
    size=st.tuples(SIDES, SIDES),
    rows=INPUT,
    columns=INPUT,
    square=st.booleans(),
    mode=st.sampled_from(["squash", "center", "border"]),
    share=st.sampled_from([1.0, 0.95, 0.875, 0.5]),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]),
    gray=st.booleans(),
)
def test_pixels_are_those_of_timm(
    size: tuple[int, int],
    rows: int,
    columns: int,
    square: bool,
    mode: str,
    share: float,
    interpolation: str,
    gray: bool,
) -> None:
    if square:
        columns = rows
    noise = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(noise[..., :1].repeat(3, axis=2) if gray else noise)
    config = {
        "input_size": (3, rows, columns),
        "interpolation": interpolation,
        "crop_pct": share,
        "crop_mode": mode,
        "mean": (0.5, 0.25, 0.1),
        "std": (1.0, 1.0, 1.0),
    }
    found = Preprocessing.from_timm(config).pixels(image)
    # Without normalization, as 8-bit samples.
    expected = create_transform(**config, is_training=False, normalize=False)(image)
    assert np.array_equal(found, expected.permute(1, 2, 0).numpy())


@pytest.mark.parametrize(("changed", "channels"), [(None, 1), (0, 3), (1, 3), (2, 3)])
def test_a_gray_image_is_scaled_as_one_channel(
    changed: int | None, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = np.random.default_rng(0).integers(0, 255, (8, 9, 1), np.uint8).repeat(3, axis=2)
    if changed is not None:
        levels[7, 8, changed] += 1
    seen, resize = list[int](), Image.Image.resize

    def noted(image: Image.Image, *given: Any, **options: Any) -> Image.Image:
        seen.append(len(image.getbands()))
        return resize(image, *given, **options)

    monkeypatch.setattr(Image.Image, "resize", noted)
    Preprocessing((4, 4), "box", 1.0, "squash", (0.5,) * 3, (1.0,) * 3).pixels(
        Image.fromarray(levels)
    )
    assert seen == [channels]


def test_a_line_is_scaled_to_at_least_one_pixel() -> None:
    preprocessing = Preprocessing((16, 16), "bilinear", 1.0, "border", (0.5,) * 3, (1.0,) * 3)
    pixels = preprocessing.pixels(Image.new("RGB", (100, 1), "white"))
    assert pixels.shape == (16, 16, 3)
    assert (pixels == 255).all(axis=2).sum() == 16
    assert (pixels == 128).all(axis=2).sum() == 15 * 16


@given(
    size=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    square=st.booleans(),
    mode=st.sampled_from(["squash", "center", "border"]),
    share=st.sampled_from([1.0, 0.875, 0.5]),
)
def test_the_region_is_what_the_pixels_show(
    size: tuple[int, int], square: bool, mode: str, share: float
) -> None:
    rows, columns = 40, 40 if square else 32
    # Each pixel holds its own place.
    across, down = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    image = Image.fromarray(np.stack([across, down, 0 * down + 255], axis=2).astype(np.uint8))
    preprocessing = Preprocessing((rows, columns), "bilinear", share, mode, (0, 0, 0), (1, 1, 1))
    left, top, right, bottom = preprocessing.region(size)
    seen = preprocessing.pixels(image)
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns - 0.5
    y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows - 0.5
    # Far from the edges, where the scaling invents values, and not in what is filled.
    inside = np.ix_(
        (y > 4) & (y < size[1] - 5),
        (x > 4) & (x < size[0] - 5),
    )
    grid = np.stack(np.meshgrid(x, y), axis=2)[inside]
    assert grid.size
    assert np.abs(seen[inside][..., :2] - grid).max() <= 2.5
