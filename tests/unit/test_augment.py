"""Transforms: equal to timm's where nothing is random, and random only as far as they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torchvision.transforms import v2

from trainer.augment import Augment, Changes, Normalise, draw_changes, plain_transform
from trainer.config import RecipeConfig


def recipe(**changes: float) -> RecipeConfig:
    """Return a recipe that changes nothing but what is named."""
    still: dict[str, Any] = {"rotation": 0, "shear": 0, "translation": 0, "flip": False}
    return RecipeConfig(**still | changes)


def changed(pixels: torch.Tensor, changes: Changes) -> torch.Tensor:
    """Return the 8-bit image [3, height, width] that `Augment` makes of one."""
    augment = Augment(data_config(pixels.shape[-1]))
    batch = (pixels.unsqueeze(0), Changes(*(item.unsqueeze(0) for item in changes)))
    return augment.normalise.undo(augment(batch))[0]


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


def test_undo_gives_the_pixels_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    normalise = Normalise(data_config(16))
    assert torch.equal(normalise.undo(normalise(pixels)), pixels)


def test_training_with_nothing_random_is_plain() -> None:
    config = data_config()
    pixels = plain_transform(config)(noise(90, 70))
    assert torch.equal(changed(pixels, draw_changes(recipe(), 5)), pixels)


def test_flips_are_the_four_flips_and_nothing_else() -> None:
    pixels = torch.from_numpy(np.asarray(noise(8, 8)).copy()).permute(2, 0, 1)
    flips = [pixels, pixels.flip(1), pixels.flip(2), pixels.flip(1, 2)]
    seen = []
    for seed in range(64):
        result = changed(pixels, draw_changes(recipe(flip=True), seed))
        seen.append(next(i for i, flip in enumerate(flips) if torch.equal(flip, result)))
    # Of 64 draws, 16 are expected of each; 4 or fewer would happen once in ten thousand.
    assert all(seen.count(flip) > 4 for flip in range(4))


def picture() -> torch.Tensor:
    """Return a smooth picture whose middle, 96 of 128 pixels, is not empty."""
    place = torch.arange(128.0)
    wave = (place / 9).sin()[:, None] + (place / 7 + 1).cos()[None]
    return (wave * 50 + 128).to(torch.uint8).expand(3, -1, -1)


@pytest.mark.parametrize(
    ("amounts", "at"),
    [
        ({"rotation": 30}, lambda d: {"angle": 30 * d[0]}),
        ({"shear": 20}, lambda d: {"shear": [20 * d[1], 20 * d[2]]}),
        ({"zoom": 0.2}, lambda d: {"scale": 1.2 ** d[3]}),
        ({"translation": 0.1}, lambda d: {"translate": [12.8 * d[4], 12.8 * d[5]]}),
        (
            {"rotation": 30, "translation": 0.1},
            lambda d: {"angle": 30 * d[0], "translate": [12.8 * d[4], 12.8 * d[5]]},
        ),
    ],
    ids=["rotation", "shear", "zoom", "translation", "both"],
)
def test_the_map_is_that_of_torchvision(
    amounts: dict[str, float], at: Callable[[list[float]], dict[str, Any]]
) -> None:
    """The same angle, shear, scale and shift give the same picture, up to rounding."""
    inner = (0, ..., slice(24, 104), slice(24, 104))
    before = picture().float().unsqueeze(0)
    moved = []
    for seed in range(5):
        drawn = (2 * torch.rand(10, generator=torch.Generator().manual_seed(seed)) - 1).tolist()
        still = {"angle": 0.0, "translate": [0.0, 0.0], "scale": 1.0, "shear": [0.0, 0.0]}
        theirs = v2.functional.affine(
            before, **still | at(drawn), interpolation=v2.InterpolationMode.BILINEAR
        )
        ours = changed(picture(), draw_changes(recipe(**amounts), seed)).float().unsqueeze(0)
        assert (ours - theirs)[inner].abs().mean() < 1
        moved.append((before - theirs)[inner].abs().mean())
    assert sum(moved) / len(moved) > 3


def test_light_is_contrast_about_the_mean_colour_and_brightness_above_it() -> None:
    config = data_config(8)
    means = torch.tensor(config["mean"]).mul(255).round().to(torch.uint8)
    pixels = means.view(3, 1, 1).repeat(1, 8, 8)
    pixels[:, 0, 0] += 40
    for seed in range(20):
        changes = draw_changes(recipe(contrast=0.5, brightness=0.1), seed)
        contrast, brightness = changes.light.tolist()
        assert 1 / 1.5 <= contrast <= 1.5
        assert -0.1 <= brightness <= 0.1
        result = changed(pixels, changes).float()
        base = means.float() + 255 * brightness
        torch.testing.assert_close(result[:, 4, 4], base, rtol=0, atol=1.1)
        torch.testing.assert_close(result[:, 0, 0], base + 40 * contrast, rtol=0, atol=1.5)


def test_each_limit_is_reached_and_kept() -> None:
    """Over many draws: angles to 45°, shifts to a tenth of the side."""
    maps = [draw_changes(recipe(rotation=45), seed).map for seed in range(400)]
    angles = [math.degrees(math.atan2(m[0, 1], m[0, 0])) for m in maps]
    assert max(map(abs, angles)) <= 45.001
    assert max(angles) > 43
    assert min(angles) < -43
    maps = [draw_changes(recipe(translation=0.1), seed).map for seed in range(400)]
    shifts = torch.stack([m[:, 2] for m in maps]) / 2
    assert shifts.abs().max() <= 0.1
    assert (shifts.max(0).values > 0.095).all()
    assert (shifts.min(0).values < -0.095).all()


def test_bare_corners_carry_no_signal() -> None:
    white = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    eighth = math.cos(math.pi / 4)
    turned = torch.tensor([[[eighth, -eighth, 0], [eighth, eighth, 0]]])
    result = Augment(data_config(32))((white, Changes(turned, torch.tensor([[1.0, 0.0]]))))
    assert torch.equal(result[0, :, 0, 0], torch.zeros(3))
    assert (result[0, :, 16, 16] > 1).all()
