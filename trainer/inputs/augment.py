"""Preprocessing and augmentation of images: random in training, fixed everywhere else.

Each image is decoded and scaled once. The random changes are drawn for each image and epoch, and
applied to whole batches on the network's device in a single pass over the pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from timm.data.transforms import str_to_interp_mode
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms import v2

from trainer.config.recipe import RecipeConfig
from trainer.inputs.corruptions import corrupt_randomly

# A float32 between -1 and 1 represents at least this many distinct seeds.
SEEDS = 2**23


class Changes(NamedTuple):
    """The random changes of the images of a batch.

    Attributes:
        maps: [image, 2, 3], affine maps from a point of the result (x, y, 1) to its source in the
            image; x and y run from -1 to 1 over the sides.
        contrast: [image], factor of the difference to the mean color.
        brightness: [image], added, as a fraction of the range from black to white.
    """

    maps: torch.Tensor
    contrast: torch.Tensor
    brightness: torch.Tensor


def changes(recipe: RecipeConfig, draws: torch.Tensor) -> Changes:
    """Return the geometric changes, and those of contrast and brightness, of square images.

    Rotation, shear, zoom, shift and flips form one affine map, so that pixels are resampled once.

    Args:
        recipe: the largest extent of each change.
        draws: [image, 12], from `trainer.inputs.draws`.
    """
    angle, shear_x, shear_y, zoom, shift_x, shift_y, flip_x, flip_y, contrast, brightness = draws[
        :, :10
    ].unbind(1)
    angle = torch.deg2rad(recipe.rotation * angle)
    cos, sin = angle.cos(), angle.sin()
    shear_x, shear_y = (torch.deg2rad(recipe.shear * s).tan() for s in (shear_x, shear_y))
    rotated = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    ones = torch.ones_like(cos)
    sheared = torch.stack([ones, -shear_x, -shear_y, 1 + shear_x * shear_y], 1).view(-1, 2, 2)
    zoom = (1 + recipe.zoom) ** zoom
    # Invert the map, from the result back into the image. Rotation and shear preserve area, so the
    # determinant is that of the zoom alone.
    (a, b), (c, d) = ((entry for entry in row.unbind(1)) for row in (rotated @ sheared).unbind(1))
    back = torch.stack([d, -b, -c, a], 1).view(-1, 2, 2) / zoom.view(-1, 1, 1)
    shift = 2 * recipe.translation * torch.stack([shift_x, shift_y], 1).unsqueeze(2)
    maps = torch.cat([back, -back @ shift], 2)
    if recipe.flip:
        # Flips are applied last, so their inverse comes first.
        maps[:, :, 0] *= torch.where(flip_x < 0, -1.0, 1.0).unsqueeze(1)
        maps[:, :, 1] *= torch.where(flip_y < 0, -1.0, 1.0).unsqueeze(1)
    return Changes(maps, (1 + recipe.contrast) ** contrast, recipe.brightness * brightness)


def plain_transform(data_config: dict[str, Any]) -> v2.Transform:
    """Return resize → 8-bit tensor [3, height, width].

    Followed by `Normalize`, it equals timm's evaluation transform for the same `data_config`, which
    the published folder contains.
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


class Normalize(torch.nn.Module):
    """Convert 8-bit batches [image, 3, height, width] to the network's input.

    It works on whole batches on the network's device: with one small image at a time, threads
    would spend more time waiting than computing.
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
        """Return the 8-bit batch whose normalized values are `levels`."""
        return levels.mul(self.std).add(self.mean).round().clamp(0, 255).to(torch.uint8)


class Augment(torch.nn.Module):
    """Normalize an 8-bit batch and apply the random changes drawn for each image."""

    def __init__(self, recipe: RecipeConfig, data_config: dict[str, Any]) -> None:
        super().__init__()
        self.recipe, self.normalize = recipe, Normalize(data_config)

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Return float32 in channels_last layout; empty corners have the mean color.

        `batch` is 8-bit images [image, 3, height, width] and the random numbers of each.
        """
        pixels, draws = batch
        moved = draws.to(pixels.device, non_blocking=True)
        maps, contrast, brightness = changes(self.recipe, moved)
        added = 255 * brightness.view(-1, 1, 1, 1) / self.normalize.std
        levels = self.normalize(pixels).mul_(contrast.view(-1, 1, 1, 1)).add_(added)
        # Padding with zeros is padding with the mean color, which carries no information.
        grid = affine_grid(maps, list(levels.shape), align_corners=False)
        augmented = grid_sample(levels, grid, align_corners=False)
        if self.recipe.corrupt:
            self._corrupt(augmented, draws[:, 10:])
        return augmented.contiguous(memory_format=torch.channels_last)

    def _corrupt(self, levels: torch.Tensor, draws: torch.Tensor) -> None:
        """Corrupt the chosen images in place, last: the camera comes after the surface."""
        # Read all numbers at once: every single read of a GPU's memory would make it wait.
        for index, (chance, seed) in enumerate(draws.tolist()):
            if chance < 2 * self.recipe.corrupt - 1:
                image = (levels[index] * self.normalize.std[0] + self.normalize.mean[0]) / 255
                image = corrupt_randomly(image.clamp(0, 1), int((seed + 1) / 2 * SEEDS))
                levels[index] = (255 * image - self.normalize.mean[0]) / self.normalize.std[0]
