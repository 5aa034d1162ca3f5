"""What is done to an image before the network sees it: random in training, fixed elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from timm.data.transforms import str_to_interp_mode
from torchvision.transforms import v2

from trainer.config import RecipeConfig


def augmentations(recipe: RecipeConfig, fill: list[int]) -> v2.Transform:
    """Return the random changes of the reference work, on 8-bit images.

    Rotation, shear and shift are one affine map, so that pixels are resampled once.

    Args:
        recipe: how far each change may go.
        fill: RGB grey level of the corners that a rotation bares.
    """
    steps: list[torch.nn.Module] = [
        v2.RandomAffine(
            degrees=recipe.rotation,
            translate=(recipe.translation, recipe.translation),
            shear=[-recipe.shear, recipe.shear, -recipe.shear, recipe.shear],
            interpolation=v2.InterpolationMode.BILINEAR,
            fill=fill,
        )
    ]
    if recipe.flip:
        steps += [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
    return v2.Compose(steps)


def training_transform(recipe: RecipeConfig, data_config: dict[str, Any]) -> v2.Transform:
    """Return resize → augmentations → 8-bit tensor [3, height, width]; `Normalise` comes after."""
    # The mean colour becomes zero once normalised: bare corners tell the network nothing.
    fill = [round(255 * level) for level in data_config["mean"]]
    return v2.Compose([_resize(data_config), augmentations(recipe, fill), v2.PILToTensor()])


def plain_transform(data_config: dict[str, Any]) -> v2.Transform:
    """Return resize → 8-bit tensor.

    With `Normalise` after it, it equals timm's evaluation transform for the same `data_config`,
    which is what the published folder carries.
    """
    return v2.Compose([_resize(data_config), v2.PILToTensor()])


def _resize(data_config: dict[str, Any]) -> v2.Transform:
    return v2.Resize(
        list(data_config["input_size"][1:]),
        interpolation=str_to_interp_mode(data_config["interpolation"]),
    )


class Normalise(torch.nn.Module):
    """Turn 8-bit batches [image, 3, height, width] into what the network takes.

    It works on whole batches, where they will be used: arithmetic on one small image at a time
    would cost more in threads' waiting than in sums.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, data_config: dict[str, Any]) -> None:
        super().__init__()
        for name in ("mean", "std"):
            levels = 255 * torch.tensor(data_config[name]).view(1, 3, 1, 1)
            self.register_buffer(name, levels)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return float32 in channels_last layout, the fastest for most convolutions."""
        levels = batch.to(dtype=torch.float32, memory_format=torch.channels_last)
        return levels.sub_(self.mean).div_(self.std)
