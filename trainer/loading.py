"""Images and their order, seeded by epoch and image: a resumed run repeats an undisturbed one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import datasets
import torch
from PIL import Image
from torch.utils.data import Dataset, Sampler

from trainer.imagefolder import open_image

Transform = Callable[[Image.Image], torch.Tensor]


class EpochSampler(Sampler[tuple[int, int]]):
    """Yield (epoch, index) of every image, in an order that depends on seed and epoch alone.

    A last batch of one image is left out, another image in each epoch: batch normalisation has no
    variance to divide by there.

    Args:
        images: how many there are.
        batch_size: images in a step.

    Attributes:
        epoch: which order comes next.
        first: how many images of it are left out, because they were seen before a stop.
    """

    def __init__(self, images: int, batch_size: int, seed: int) -> None:
        self.images, self.seed, self.epoch, self.first = images, seed, 0, 0
        lone = images > batch_size > 1 and images % batch_size == 1
        self.used = images - lone

    def __len__(self) -> int:
        return self.used

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, self.epoch))
        order = torch.randperm(self.images, generator=generator).tolist()
        for index in order[self.first : self.used]:
            yield self.epoch, index


class TrainingImages(Dataset[tuple[torch.Tensor, int]]):
    """Augmented images; the randomness of each comes from seed, epoch and index alone."""

    def __init__(self, part: datasets.Dataset, transform: Transform, seed: int) -> None:
        self.part, self.transform, self.seed = part, transform, seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, int]:
        epoch, index = key
        row = self.part[index]
        image = open_image(row)
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed: that would also queue a seed for every GPU, image by image.
            torch.default_generator.manual_seed(mixed_seed(self.seed, epoch, index))
            return self.transform(image), row["label"]


class PlainImages(Dataset[tuple[torch.Tensor, int]]):
    """Images as the published model will see them."""

    def __init__(self, part: datasets.Dataset, transform: Transform) -> None:
        self.part, self.transform = part, transform

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        row = self.part[index]
        return self.transform(open_image(row)), row["label"]


def mixed_seed(*numbers: int) -> int:
    """Make one seed of several numbers, unlike `a + b` without coincidences."""
    mixed = 0
    for number in numbers:
        # One step of the 64-bit linear congruential generator of Knuth's MMIX for each number.
        mixed = ((mixed ^ number) * 6364136223846793005 + 1442695040888963407) % 2**64
    return mixed % 2**63
