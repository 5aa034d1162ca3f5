"""The outputs of tiles joined to those of images, as a step of training: with gradients.

The published model joins them by `space.inference.core.tiling.pool`, which needs no PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch


def pool(logits: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """Return the logits of images, [image, class], from those of their tiles, [tile, class].

    Args:
        logits: the tiles of all images, one image after the other.
        counts: tiles of each image.
    """
    if all(count == 1 for count in counts):
        return logits
    images = torch.split(logits, list(counts))
    return torch.stack([tiles.logsumexp(0) - math.log(len(tiles)) for tiles in images])
