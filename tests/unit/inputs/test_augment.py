"""Transforms: equal to timm's where nothing is random, and random only as far as they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torchvision.transforms import v2

from trainer.config.recipe import RecipeConfig
from trainer.inputs.augment import Augment, Normalize, changes, plain_transform
from trainer.inputs.draws import draw
from trainer.model.feature_cache import AUGMENTATION_SETTINGS


def recipe(**changes: float) -> RecipeConfig:
    """Return a recipe that changes nothing but what is named."""
    still: dict[str, Any] = {"rotation": 0, "shear": 0, "translation": 0, "flip": False}
    return RecipeConfig(**still | changes)


def changed(pixels: torch.Tensor, recipe: RecipeConfig, draws: torch.Tensor) -> torch.Tensor:
    """Return the 8-bit image [3, height, width] that `Augment` makes of one."""
    augment = Augment(recipe, data_config(pixels.shape[-1]))
    return augment.normalize.undo(augment((pixels.unsqueeze(0), draws.unsqueeze(0))))[0]


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


class Watched:
    """A recipe that notes which of its settings are read."""

    def __init__(self, recipe: RecipeConfig) -> None:
        self.recipe, self.read = recipe, set[str]()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self.recipe, name)


def test_cached_views_depend_on_every_setting_that_an_augmentation_reads() -> None:
    """A setting that lacks the marker AUGMENTS_VIEWS would leave stale features in the cache."""
    watched: Any = Watched(RecipeConfig(corrupt=1, zoom=0.1, brightness=0.1, contrast=0.1))
    pixels = torch.full((2, 3, 32, 32), 90, dtype=torch.uint8)
    Augment(watched, data_config(32))((pixels, draw([1, 2])))
    assert watched.read == set(AUGMENTATION_SETTINGS)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(200, 200), (64, 64), (150, 40), (31, 77)])
def test_plain_images_are_those_of_timm(size: tuple[int, int], interpolation: str) -> None:
    config = data_config(interpolation=interpolation)
    image = noise(*size)
    ours = Normalize(config)(plain_transform(config)(image).unsqueeze(0))
    theirs = create_transform(**config, is_training=False)(image)
    torch.testing.assert_close(ours[0], theirs, rtol=0, atol=2e-6)


def test_undo_gives_the_pixels_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    normalise = Normalize(data_config(16))
    assert torch.equal(normalise.undo(normalise(pixels)), pixels)


def test_training_with_nothing_random_is_plain() -> None:
    config = data_config()
    pixels = plain_transform(config)(noise(90, 70))
    assert torch.equal(changed(pixels, recipe(), draw([5])[0]), pixels)


def test_flips_are_the_four_flips_and_nothing_else() -> None:
    pixels = torch.from_numpy(np.asarray(noise(8, 8)).copy()).permute(2, 0, 1)
    flips = [pixels, pixels.flip(1), pixels.flip(2), pixels.flip(1, 2)]
    seen = []
    for seed in range(64):
        result = changed(pixels, recipe(flip=True), draw([seed])[0])
        seen.append(next(i for i, flip in enumerate(flips) if torch.equal(flip, result)))
    # Of 64 draws, 16 are expected of each; 4 or fewer would happen once in ten thousand.
    assert all(seen.count(flip) > 4 for flip in range(4))


def test_whole_images_are_flipped_and_lit_as_before_and_not_moved() -> None:
    pixels = torch.from_numpy(np.asarray(noise(8, 8)).copy()).permute(2, 0, 1)
    moving = recipe(rotation=45, shear=5, translation=0.1, zoom=0.5, flip=True)
    lit = {"flip": True, "contrast": 0.8, "brightness": 0.3}
    for seed in range(16):
        drawn = draw([seed], whole=True)[0]
        flipped = changed(pixels, recipe(flip=True), draw([seed])[0])
        assert torch.equal(changed(pixels, moving, drawn), flipped)
        assert torch.equal(
            changed(pixels, recipe(**lit), drawn), changed(pixels, recipe(**lit), draw([seed])[0])
        )


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
        drawn = draw([seed])[0].tolist()
        still = {"angle": 0.0, "translate": [0.0, 0.0], "scale": 1.0, "shear": [0.0, 0.0]}
        theirs = v2.functional.affine(
            before, **still | at(drawn), interpolation=v2.InterpolationMode.BILINEAR
        )
        ours = changed(picture(), recipe(**amounts), draw([seed])[0]).float().unsqueeze(0)
        assert (ours - theirs)[inner].abs().mean() < 1
        moved.append((before - theirs)[inner].abs().mean())
    assert sum(moved) / len(moved) > 3


def test_light_is_contrast_about_the_mean_colour_and_brightness_above_it() -> None:
    config = data_config(8)
    means = torch.tensor(config["mean"]).mul(255).round().to(torch.uint8)
    pixels = means.view(3, 1, 1).repeat(1, 8, 8)
    pixels[:, 0, 0] += 40
    for seed in range(20):
        lit = recipe(contrast=0.5, brightness=0.1)
        _, [contrast], [brightness] = changes(lit, draw([seed]))
        assert 1 / 1.5 <= contrast <= 1.5
        assert -0.1 <= brightness <= 0.1
        result = changed(pixels, lit, draw([seed])[0]).float()
        base = means.float() + 255 * brightness
        torch.testing.assert_close(result[:, 4, 4], base, rtol=0, atol=1.1)
        torch.testing.assert_close(result[:, 0, 0], base + 40 * contrast, rtol=0, atol=1.5)


def test_each_limit_is_reached_and_kept() -> None:
    """Over many draws: angles to 45°, shifts to a tenth of the side."""
    draws = draw(range(400))
    maps = changes(recipe(rotation=45), draws).maps
    angles = torch.rad2deg(torch.atan2(maps[:, 0, 1], maps[:, 0, 0]))
    assert angles.abs().max() <= 45.001
    assert angles.max() > 43
    assert angles.min() < -43
    shifts = changes(recipe(translation=0.1), draws).maps[:, :, 2] / 2
    assert shifts.abs().max() <= 0.1
    assert (shifts.max(0).values > 0.095).all()
    assert (shifts.min(0).values < -0.095).all()


def test_bare_corners_carry_no_signal() -> None:
    white = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    # The greatest angle that may be drawn; nothing else.
    draws = torch.tensor([[1.0] + [0.0] * 9])
    result = Augment(recipe(rotation=45), data_config(32))((white, draws))
    assert torch.equal(result[0, :, 0, 0], torch.zeros(3))
    assert (result[0, :, 16, 16] > 1).all()
