"""Squares that cover a long image, and one answer from those of the squares."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from space.inference.core.tiling import (
    cut,
    mean_of_tiles,
    pool,
    pool_weights,
    scaled_size,
    stitch,
    tile_starts,
)
from trainer.model.tile_pooling import pool as pool_in_training

SIDES = st.integers(1, 60)


def numbered(width: int, height: int) -> Image.Image:
    """Return an image in which each pixel has its own value, up to 65,536 of them."""
    numbers = np.arange(width * height, dtype=np.uint32).reshape(height, width)
    pixels = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=2)
    return Image.fromarray(pixels.astype(np.uint8))


@given(short=SIDES, extra=st.integers(0, 400), upright=st.booleans())
def test_squares_cover_every_pixel_in_order(short: int, extra: int, upright: bool) -> None:
    long = short + extra
    size = (short, long) if upright else (long, short)
    starts = tile_starts(*size)
    if long < 1.5 * short:
        assert starts == [0]
        return
    assert len(starts) == math.ceil(long / short)
    assert (starts[0], starts[-1]) == (0, long - short)
    steps = np.diff(starts)
    assert steps.min() > 0
    assert steps.max() <= short, "no pixel lies between two squares"
    assert steps.max() - steps.min() <= 1, "evenly spaced"
    assert tile_starts(*size[::-1]) == starts


@given(width=SIDES, height=SIDES)
def test_each_square_holds_the_pixels_of_its_place(width: int, height: int) -> None:
    image = numbered(width, height)
    pixels, side = np.asarray(image), min(width, height)
    tiles = cut(image)
    starts = tile_starts(width, height)
    assert len(tiles) == len(starts)
    if len(tiles) == 1:
        assert tiles[0] is image, "as without --tile"
        return
    for start, tile in zip(starts, tiles, strict=True):
        along = slice(start, start + side)
        own = pixels[:, along] if width > height else pixels[along]
        assert np.array_equal(np.asarray(tile), own)


@pytest.mark.parametrize(
    ("size", "starts"),
    [
        ((1600, 256), [0, 224, 448, 672, 896, 1120, 1344]),
        ((256, 1600), [0, 224, 448, 672, 896, 1120, 1344]),
        ((640, 480), [0]),
        ((600, 200), [0, 200, 400]),
        ((601, 200), [0, 133, 267, 401]),
        ((300, 200), [0, 100]),
        ((299, 200), [0]),
    ],
)
def test_squares_by_hand(size: tuple[int, int], starts: list[int]) -> None:
    assert tile_starts(*size) == starts


@given(width=st.integers(1, 500), height=st.integers(1, 500), side=st.integers(8, 64))
def test_a_scaled_strip_has_as_many_squares(width: int, height: int, side: int) -> None:
    scaled = scaled_size(width, height, side)
    assert min(scaled) == side
    assert len(tile_starts(*scaled)) == len(tile_starts(width, height))


def test_logits_of_tiles_are_pooled_image_by_image() -> None:
    logits = np.array([[0.0, 2.0], [math.log(3.0), 2.0], [5.0, -1.0]])
    expected = [[math.log((1 + 3) / 2), 2.0], [5.0, -1.0]]
    np.testing.assert_allclose(pool(logits, [2, 1]), expected)


def test_training_pools_as_the_published_model() -> None:
    logits = torch.randn(6, 3, dtype=torch.float64) * 50
    for counts in ([2, 1, 3], [1] * 6):
        trained = pool_in_training(logits, counts).numpy()
        np.testing.assert_allclose(trained, pool(logits.numpy(), counts), rtol=1e-12)


def test_images_of_one_tile_keep_their_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 3))
    assert np.array_equal(pool(logits, [1] * 4), logits)
    # Beside longer ones, too.
    assert np.array_equal(pool(logits, [1, 2, 1])[[0, 2]], logits[[0, 3]])


def test_weights_are_the_gradient_of_pooling() -> None:
    logits = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    for label in range(3):
        (gradient,) = torch.autograd.grad(pool_in_training(logits, [5])[0, label], logits)
        weights = pool_weights(logits.detach().numpy())
        np.testing.assert_allclose(gradient[:, label], weights[:, label])


def test_statistics_are_averaged_image_by_image() -> None:
    described = np.array([[1.0, 10.0], [3.0, 30.0], [7.0, 70.0]])
    assert mean_of_tiles(described, [2, 1]).tolist() == [[2.0, 20.0], [7.0, 70.0]]
    assert mean_of_tiles(described, [1, 1, 1]) is described


@pytest.mark.parametrize("upright", [False, True])
def test_maps_are_laid_where_their_squares_are(upright: bool) -> None:
    # Squares of 20 px begin at 0, 15 and 30; maps of 4 columns at 0, 3 and 6.
    size = (20, 50) if upright else (50, 20)
    assert tile_starts(*size) == [0, 15, 30]
    maps = np.array([[[1.0, 2, 3, 4]], [[9.0, 5, 6, 7]], [[0.0, 8, 8, 1]]])
    expected = np.array([[1.0, 2, 3, 9, 5, 6, 7, 8, 8, 1]])
    if upright:
        assert np.array_equal(stitch(maps.transpose(0, 2, 1), *size), expected.T)
    else:
        assert np.array_equal(stitch(maps, *size), expected)


@given(width=st.integers(8, 200), height=st.integers(8, 200), side=st.integers(4, 32))
def test_maps_leave_no_gap(width: int, height: int, side: int) -> None:
    count = len(tile_starts(width, height))
    whole = stitch(np.ones((count, side, side)), width, height)
    assert whole.min() == 1
    assert min(whole.shape) == side
