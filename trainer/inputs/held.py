"""Images that stay on the GPU: batches are gathered there, with no work for each image.

A small data set takes less memory than one step. Its pixels are copied to the device once, as
8-bit values. Random numbers stay on the processor, which chooses by them what to corrupt.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

import torch

from trainer.inputs.loading import Batch, EpochSampler, TrainingImages

logger = logging.getLogger(__name__)

# The share of the device's free memory that images may take; steps need the rest.
HELD_SHARE = 0.2


class HeldImages:
    """Batches of training images on a device, equal to those of a data loader.

    Args:
        images: each of one tile.
        sampler: gives the order of each epoch.
        batch_size: images per batch.
        device: where pixels and labels are held.
    """

    def __init__(
        self, images: TrainingImages, sampler: EpochSampler, batch_size: int, device: torch.device
    ) -> None:
        self.images, self.sampler, self.batch_size = images, sampler, batch_size
        self.device = device
        plain = images.plain
        first = plain[0][0]
        self.pixels = torch.empty((len(plain), *first.shape[1:]), dtype=first.dtype, device=device)
        for index in range(len(plain)):
            self.pixels[index] = plain[index][0][0]
        self.labels = torch.tensor(list(plain.labels), device=device)

    def __len__(self) -> int:
        return math.ceil(len(self.sampler) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        keys = list(self.sampler)
        order = torch.tensor([index for _, index in keys])
        draws = self.images.draws(self.sampler.epoch)[order]
        order = order.to(self.device)
        for first in range(0, len(keys), self.batch_size):
            rows = order[first : first + self.batch_size]
            inputs = self.pixels[rows], draws[first : first + self.batch_size]
            yield Batch(inputs, [1] * len(rows), self.labels[rows])


def fits_device(images: TrainingImages, device: torch.device) -> bool:
    """Return whether all images have one tile and fit into the free memory of a GPU; log it."""
    if device.type != "cuda":
        return False
    plain = images.plain
    free_bytes, _ = torch.cuda.mem_get_info(device)
    size_bytes = plain.tile_bytes * len(plain)
    if size_bytes > HELD_SHARE * free_bytes or (plain.tile_counts > 1).any():
        return False
    logger.info(
        "%d training images stay on the GPU (%.2f GB of %.1f GB free memory).",
        len(plain),
        size_bytes / 1e9,
        free_bytes / 1e9,
    )
    return True
