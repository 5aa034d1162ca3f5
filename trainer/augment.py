"""What is done to an image before the network sees it: random in training, fixed elsewhere.

Each image is decoded and scaled once. What changes from epoch to epoch is drawn for each image and
then done to whole batches, where the network runs: one pass over the pixels for all changes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from timm.data.transforms import str_to_interp_mode
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms import v2

from trainer.config import RecipeConfig


class Changes(NamedTuple):
    """The random changes of one image; those of a batch have one more dimension in front.

    Attributes:
        map: [2, 3], takes a place in the result (x, y, 1) to the place in the image that is seen
            there; x and y run from -1 to 1 over the sides.
        light: [2], contrast, by which the difference to the mean colour is multiplied, and
            brightness, which is added, in shares of the range from black to white.
    """

    map: torch.Tensor
    light: torch.Tensor


def draw_changes(recipe: RecipeConfig, seed: int) -> Changes:
    """Draw the changes of the reference work, and those of light, for a square image.

    Rotation, shear, zoom, shift and flips are one affine map, so that pixels are resampled once.

    Args:
        recipe: how far each change may go.
        seed: of this image in this epoch; nothing else has an influence.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(10, generator=generator).mul_(2).sub_(1).tolist()
    angle = math.radians(recipe.rotation * drawn[0])
    shear_x, shear_y = (math.tan(math.radians(recipe.shear * share)) for share in drawn[1:3])
    zoom = (1 + recipe.zoom) ** drawn[3]
    shift = 2 * recipe.translation * torch.tensor([[drawn[4]], [drawn[5]]])
    flip = [-1.0 if recipe.flip and share < 0 else 1.0 for share in drawn[6:8]]
    turned = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    sheared = torch.tensor([[1.0, -shear_x], [-shear_y, 1 + shear_x * shear_y]])
    # The other way round: from the result back into the image, the flips first.
    back = torch.linalg.inv(zoom * turned @ sheared)
    contrast = (1 + recipe.contrast) ** drawn[8]
    return Changes(
        map=torch.cat([back @ torch.diag(torch.tensor(flip)), -back @ shift], dim=1),
        light=torch.tensor([contrast, recipe.brightness * drawn[9]]),
    )


def plain_transform(data_config: dict[str, Any]) -> v2.Transform:
    """Return resize → 8-bit tensor [3, height, width].

    With `Normalise` after it, it equals timm's evaluation transform for the same `data_config`,
    which is what the published folder carries.
    """
    return v2.Compose(
        [
            v2.Resize(
                list(data_config["input_size"][1:]),
                interpolation=str_to_interp_mode(data_config["interpolation"]),
            ),
            v2.PILToTensor(),
        ]
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

    def undo(self, levels: torch.Tensor) -> torch.Tensor:
        """Return the 8-bit batch that looks like `levels`."""
        return levels.mul(self.std).add(self.mean).round().clamp(0, 255).to(torch.uint8)


class Augment(torch.nn.Module):
    """Normalise an 8-bit batch and change each image as was drawn for it."""

    def __init__(self, data_config: dict[str, Any]) -> None:
        super().__init__()
        self.normalise = Normalise(data_config)

    def forward(self, batch: tuple[torch.Tensor, Changes]) -> torch.Tensor:
        """Return float32 in channels_last layout; bare corners have the mean colour."""
        pixels, (maps, light) = batch
        contrast, brightness = light.view(-1, 2, 1, 1, 1).unbind(1)
        levels = self.normalise(pixels)
        levels = levels.mul_(contrast).add_(255 * brightness / self.normalise.std)
        # Zeros outside are the mean colour, which tells the network nothing.
        grid = affine_grid(maps, list(levels.shape), align_corners=False)
        changed = grid_sample(levels, grid, align_corners=False)
        return changed.contiguous(memory_format=torch.channels_last)
