"""What is done to an image before the network sees it: random in training, fixed elsewhere.

Each image is decoded and scaled once. What changes from epoch to epoch is drawn for each image and
then done to whole batches, where the network runs: one pass over the pixels for all changes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from timm.data.transforms import str_to_interp_mode
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms import v2

from trainer.config.settings import RecipeConfig
from trainer.inputs.corruptions import corrupt_by_chance

# How many numbers decide the changes of one image: angle, shear in x and y, zoom, shift in x and y,
# flip in x and y, contrast, brightness; whether it is corrupted, and the seed of that.
DRAWS = 12
# The first of them that decides a flip; those before it move parts of an image out of sight.
FLIPS = 6
# As many seeds as a float32 between -1 and 1 surely tells apart.
SEEDS = 2**23


def draw(seed: int, *, whole: bool = False) -> torch.Tensor:
    """Draw the numbers, from -1 to 1, that decide the changes of one image: [12].

    Args:
        seed: of this image in this epoch; nothing but the two arguments has an influence.
        whole: leave out what would bare corners or move parts out of sight.
    """
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.rand(DRAWS, generator=generator).mul_(2).sub_(1)
    if whole:
        numbers[:FLIPS] = 0
    return numbers


class Changes(NamedTuple):
    """The random changes of the images of a batch.

    Attributes:
        maps: [image, 2, 3], take a place in the result (x, y, 1) to the place in the image that is
            seen there; x and y run from -1 to 1 over the sides.
        contrast: [image], by which the difference to the mean colour is multiplied.
        brightness: [image], what is added, in shares of the range from black to white.
    """

    maps: torch.Tensor
    contrast: torch.Tensor
    brightness: torch.Tensor


def changes(recipe: RecipeConfig, draws: torch.Tensor) -> Changes:
    """Return the changes of the reference work, and those of light, for square images.

    Rotation, shear, zoom, shift and flips are one affine map, so that pixels are resampled once.

    Args:
        recipe: how far each change may go.
        draws: [image, 12], of `draw`.
    """
    angle, shear_x, shear_y, zoom, shift_x, shift_y, flip_x, flip_y, contrast, brightness = draws[
        :, :10
    ].unbind(1)
    angle = torch.deg2rad(recipe.rotation * angle)
    cos, sin = angle.cos(), angle.sin()
    shear_x, shear_y = (torch.deg2rad(recipe.shear * s).tan() for s in (shear_x, shear_y))
    turned = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    ones = torch.ones_like(cos)
    sheared = torch.stack([ones, -shear_x, -shear_y, 1 + shear_x * shear_y], 1).view(-1, 2, 2)
    zoom = (1 + recipe.zoom) ** zoom
    # From the result back into the image. Turned and sheared areas keep their size, so that the
    # inverse needs no determinant but that of the zoom.
    (a, b), (c, d) = ((entry for entry in row.unbind(1)) for row in (turned @ sheared).unbind(1))
    back = torch.stack([d, -b, -c, a], 1).view(-1, 2, 2) / zoom.view(-1, 1, 1)
    shift = 2 * recipe.translation * torch.stack([shift_x, shift_y], 1).unsqueeze(2)
    maps = torch.cat([back, -back @ shift], 2)
    if recipe.flip:
        # Flips come last, so first on the way back.
        maps[:, :, 0] *= torch.where(flip_x < 0, -1.0, 1.0).unsqueeze(1)
        maps[:, :, 1] *= torch.where(flip_y < 0, -1.0, 1.0).unsqueeze(1)
    return Changes(maps, (1 + recipe.contrast) ** contrast, recipe.brightness * brightness)


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

    def __init__(self, recipe: RecipeConfig, data_config: dict[str, Any]) -> None:
        super().__init__()
        self.recipe, self.normalise = recipe, Normalise(data_config)

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Return float32 in channels_last layout; bare corners have the mean colour.

        `batch` is 8-bit images [image, 3, height, width] and the numbers drawn for each.
        """
        pixels, draws = batch
        maps, contrast, brightness = changes(self.recipe, draws)
        added = 255 * brightness.view(-1, 1, 1, 1) / self.normalise.std
        levels = self.normalise(pixels).mul_(contrast.view(-1, 1, 1, 1)).add_(added)
        # Zeros outside are the mean colour, which tells the network nothing.
        grid = affine_grid(maps, list(levels.shape), align_corners=False)
        changed = grid_sample(levels, grid, align_corners=False)
        if self.recipe.corrupt:
            self._corrupt(changed, draws[:, 10:])
        return changed.contiguous(memory_format=torch.channels_last)

    def _corrupt(self, levels: torch.Tensor, draws: torch.Tensor) -> None:
        """Corrupt the chosen images in place: last, as the camera comes after the surface."""
        # One look at the numbers for the whole batch: each would make a GPU wait.
        for index, (chance, seed) in enumerate(draws.tolist()):
            if chance < 2 * self.recipe.corrupt - 1:
                seen = (levels[index] * self.normalise.std[0] + self.normalise.mean[0]) / 255
                seen = corrupt_by_chance(seen.clamp(0, 1), int((seed + 1) / 2 * SEEDS))
                levels[index] = (255 * seen - self.normalise.mean[0]) / self.normalise.std[0]
