"""Seeds and random numbers of the augmentation, against torch's own generator."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from trainer.inputs.draws import DRAWS, FLIPS, draw, mixed_seed, mixed_seeds, tile_seeds


def _of_torch(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(DRAWS, generator=generator).mul_(2).sub_(1)


def test_numbers_are_those_of_a_generator_for_each_seed() -> None:
    seeds = [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1]
    seeds += np.random.default_rng(0).integers(2**63, size=300).tolist()
    drawn = draw(seeds)
    assert drawn.dtype == torch.float32
    assert torch.equal(drawn, torch.stack([_of_torch(seed) for seed in seeds]))


def test_whole_images_are_not_moved() -> None:
    usual, whole = draw(range(20)), draw(range(20), whole=True)
    assert not whole[:, :FLIPS].any()
    assert usual[:, :FLIPS].all()
    assert torch.equal(usual[:, FLIPS:], whole[:, FLIPS:])


def test_mixed_seeds_do_not_coincide() -> None:
    grid = list(itertools.product(range(12), repeat=3))
    assert len({mixed_seed(*numbers) for numbers in grid}) == len(grid)
    assert all(0 <= mixed_seed(*numbers) < 2**63 for numbers in grid)
    # Of a seed, torch uses the lowest 32 bits only.
    images = np.arange(100_000, dtype=np.uint64)
    assert len(np.unique(mixed_seeds(7, 3, images) % 2**32)) == 100_000


def test_seeds_of_many_images_are_those_of_each() -> None:
    """The numbers are fixed: other ones would change every training and every corrupted image."""
    assert mixed_seed(3, 1, 4) == 408453031479715477
    images = np.array([5, 2**59 + 3, 7], np.uint64)
    assert mixed_seeds(3, 1, images).tolist() == [mixed_seed(3, 1, int(each)) for each in images]
    expected = [mixed_seed(3, 1, 5)]
    expected += [mixed_seed(3, 1, 2**59 + 3), mixed_seed(3, 1, 2**59 + 3, 1)]
    expected += [mixed_seed(3, 1, 2**59 + 3, 2), mixed_seed(3, 1, 7)]
    assert tile_seeds([1, 3, 1], 3, 1, images).tolist() == expected
