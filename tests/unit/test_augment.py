"""Transforms: equal to timm's where nothing is random, and random only as far as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from trainer.augment import Normalise, augmentations, plain_transform, training_transform
from trainer.config import RecipeConfig

STILL = RecipeConfig(rotation=0, shear=0, translation=0, flip=False)


def data_config(size: int = 64, interpolation: str = "bicubic") -> dict[str, Any]:
    return {
        "input_size": (3, size, size),
        "interpolation": interpolation,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "crop_pct": 1.0,
        "crop_mode": "squash",
    }


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(200, 200), (64, 64), (150, 40), (31, 77)])
def test_plain_images_are_those_of_timm(size: tuple[int, int], interpolation: str) -> None:
    config = data_config(interpolation=interpolation)
    image = noise(*size)
    ours = Normalise(config)(plain_transform(config)(image).unsqueeze(0))
    theirs = create_transform(**config, is_training=False)(image)
    torch.testing.assert_close(ours[0], theirs, rtol=0, atol=2e-6)


def test_training_with_nothing_random_is_plain() -> None:
    config = data_config()
    image = noise(90, 70)
    still = training_transform(STILL, config)(image)
    assert torch.equal(still, plain_transform(config)(image))


def test_flips_are_the_four_flips_and_nothing_else() -> None:
    recipe = RecipeConfig(rotation=0, shear=0, translation=0)
    image = noise(8, 8)
    pixels = np.asarray(image)
    flips = [pixels, pixels[::-1], pixels[:, ::-1], pixels[::-1, ::-1]]
    change = augmentations(recipe, [0, 0, 0])
    seen = set()
    for _ in range(64):
        changed = np.asarray(change(image))
        seen.add(next(i for i, flip in enumerate(flips) if np.array_equal(flip, changed)))
    assert seen == {0, 1, 2, 3}


def test_rotation_reaches_its_limit_and_no_further() -> None:
    """The angle of a bright bar through the middle, from its second moments."""
    bar = np.zeros((101, 101, 3), dtype=np.uint8)
    bar[48:53, 10:91] = 255
    change = augmentations(RecipeConfig(shear=0, translation=0, flip=False), [0, 0, 0])
    angles = []
    for _ in range(200):
        rows, columns = np.nonzero(np.asarray(change(Image.fromarray(bar)))[..., 0] > 128)
        covariance = np.cov(columns, rows)
        angle = 0.5 * np.arctan2(2 * covariance[0, 1], covariance[0, 0] - covariance[1, 1])
        angles.append(np.degrees(angle))
    assert max(angles) <= 46
    assert min(angles) >= -46
    assert max(angles) > 35
    assert min(angles) < -35


def test_bare_corners_carry_no_signal() -> None:
    config = data_config(32)
    recipe = RecipeConfig(rotation=45)
    white = Image.new("RGB", (32, 32), "white")
    torch.manual_seed(1)
    batch = training_transform(recipe, config)(white).unsqueeze(0)
    corner = Normalise(config)(batch)[0, :, 0, 0]
    assert corner.abs().max() < 0.02
