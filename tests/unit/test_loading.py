"""Order and augmentation: they follow from seed, epoch and image, and from nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from trainer.loading import EpochSampler, TrainingImages, mixed_seed

IMAGES = 9


def images(seed: int = 0) -> TrainingImages:
    generator = np.random.default_rng(0)
    pixels = [generator.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(IMAGES)]
    part = Dataset.from_dict(
        {"image": [Image.fromarray(p) for p in pixels], "label": list(range(IMAGES))}
    )
    part = part.cast_column("image", ImageFeature(decode=False))
    change = v2.Compose([v2.RandomAffine(degrees=45), v2.PILToTensor()])
    return TrainingImages(part, change, seed)


def epoch(seed: int, number: int, workers: int = 0) -> tuple[list[int], torch.Tensor]:
    """Return labels and pixels of an epoch, in the order of loading."""
    sampler = EpochSampler(IMAGES, 5, seed)
    sampler.epoch = number
    loader = DataLoader(images(seed), batch_size=5, sampler=sampler, num_workers=workers)
    batches = list(loader)
    return torch.cat([b[1] for b in batches]).tolist(), torch.cat([b[0] for b in batches])


def test_each_epoch_has_every_image_once_in_its_own_order() -> None:
    orders = [epoch(0, number)[0] for number in range(3)]
    assert all(sorted(order) == list(range(IMAGES)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_a_last_batch_is_never_one_image() -> None:
    """Batch normalisation fails on it; each epoch leaves out another image."""
    sampler, left_out = EpochSampler(IMAGES, 4, seed=0), set()
    for number in range(8):
        sampler.epoch = number
        indices = [index for _, index in sampler]
        assert len(indices) == len(sampler) == len(set(indices)) == IMAGES - 1
        left_out |= set(range(IMAGES)) - set(indices)
    assert len(left_out) > 2
    assert [len(EpochSampler(n, b, 0)) for n, b in [(8, 4), (10, 4), (1, 4), (5, 1)]] == [
        8,
        10,
        1,
        5,
    ]


def test_an_epoch_can_be_repeated_whatever_was_drawn_before() -> None:
    first = epoch(3, 5)
    torch.rand(100)
    again = epoch(3, 5)
    assert first[0] == again[0]
    assert torch.equal(first[1], again[1])


def test_worker_processes_change_nothing() -> None:
    here, elsewhere = epoch(0, 1), epoch(0, 1, workers=2)
    assert here[0] == elsewhere[0]
    assert torch.equal(here[1], elsewhere[1])


def test_augmentation_differs_by_epoch_and_by_seed() -> None:
    first = images()[(1, 0)][0]
    assert not torch.equal(first, images()[(2, 0)][0])
    assert not torch.equal(first, images(seed=1)[(1, 0)][0])


def test_loading_leaves_the_random_state_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    images()[(1, 2)]
    assert torch.equal(torch.rand(3), expected)


def test_mixed_seeds_do_not_coincide() -> None:
    grid = list(itertools.product(range(12), repeat=3))
    assert len({mixed_seed(*numbers) for numbers in grid}) == len(grid)
    assert all(0 <= mixed_seed(*numbers) < 2**63 for numbers in grid)
