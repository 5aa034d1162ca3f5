"""MixUp and CutMix of a batch: drawn on the processor, applied with shapes that never change.

The random numbers are those of torchvision's transforms, and so are the results. Theirs cut boxes
by numbers of Python, which a recorded step could not read; here the numbers are a tensor.
"""

from __future__ import annotations

import torch
from torch.nn.functional import one_hot
from torchvision.transforms import v2

from trainer.config.recipe import RecipeConfig


class Mixing:
    """Mixes each image of a batch with the one before it, and its target likewise.

    Args:
        ways: torchvision's transforms; one is chosen at random for each batch.
        classes: their number.
    """

    def __init__(self, ways: list[v2.MixUp | v2.CutMix], classes: int) -> None:
        self.ways, self.classes = ways, classes

    def draw(self, rows: int, columns: int) -> torch.Tensor:
        """Draw how a batch of images of this size is mixed: [8].

        Returns:
            of an image, its share of the color in a box, and the share of the other one; the left,
            top, right and lower edge of the box; both shares of the targets.
        """
        # As `v2.RandomChoice` does.
        way = self.ways[int(torch.multinomial(torch.ones(len(self.ways)), 1))]
        drawn = way.make_params([torch.empty(1, rows, columns)])
        if isinstance(way, v2.MixUp):
            share, box, own = drawn["lam"], (0, 0, columns, rows), drawn["lam"]
        else:
            share, box, own = drawn["lam_adjusted"], drawn["box"], 0.0
        return torch.tensor([own, 1.0 - own, *box, share, 1.0 - share], dtype=torch.float32)

    def mix(
        self, images: torch.Tensor, targets: torch.Tensor, drawn: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mixed images, and the share of each class in them.

        Args:
            images: [image, channel, row, column].
            targets: class index of each image, or 1 for each of its defects.
            drawn: from `draw`, on the device of the images.
        """
        own, other, left, top, right, bottom, share, other_share = drawn.unbind()
        rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
        in_rows, in_columns = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
        mixed = images.roll(1, 0).mul_(other).add_(images * own)
        shown = torch.where(in_rows[:, None] & in_columns, mixed, images)
        shares = one_hot(targets, self.classes) if targets.ndim == 1 else targets
        shares = shares.float()
        return shown, shares.roll(1, 0).mul_(other_share).add_(shares * share)


def build_mixing(recipe: RecipeConfig, classes: int) -> Mixing | None:
    """Return MixUp or CutMix for batches and their targets; None if the recipe has neither.

    If it has both, one of them is chosen at random for each batch.
    """
    ways: list[v2.MixUp | v2.CutMix] = []
    if recipe.mixup:
        ways.append(v2.MixUp(alpha=recipe.mixup, num_classes=classes))
    if recipe.cutmix:
        ways.append(v2.CutMix(alpha=recipe.cutmix, num_classes=classes))
    return Mixing(ways, classes) if ways else None
