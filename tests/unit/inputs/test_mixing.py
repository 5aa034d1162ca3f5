"""Mixed images and targets: torchvision's results, bit for bit, and what they mean."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torchvision.transforms import v2

from trainer.config.recipe import RecipeConfig
from trainer.inputs.mixing import build_mixing


@pytest.mark.parametrize(
    "amounts", [{"mixup": 0.4}, {"cutmix": 0.7}, {"mixup": 0.4, "cutmix": 0.7}]
)
@pytest.mark.parametrize("several", [False, True])
def test_results_are_those_of_torchvision(amounts: dict[str, Any], several: bool) -> None:
    mix = build_mixing(RecipeConfig(**amounts), 3)
    assert mix is not None
    transforms: dict[str, Any] = {"mixup": v2.MixUp, "cutmix": v2.CutMix}
    ways = [transforms[name](alpha=alpha, num_classes=3) for name, alpha in amounts.items()]
    theirs = v2.RandomChoice(ways)
    images = torch.randn(5, 3, 12, 20, generator=torch.Generator().manual_seed(0))
    images = images.contiguous(memory_format=torch.channels_last)
    targets = torch.tensor([2, 0, 1, 1, 0])
    if several:
        targets = torch.tensor([[1.0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1], [1, 0, 0]])
    for seed in range(20):
        torch.manual_seed(seed)
        expected = theirs(images, targets)
        torch.manual_seed(seed)
        found = mix.mix(images, targets, mix.draw(12, 20))
        for one, other in zip(found, expected, strict=True):
            assert torch.equal(one, other)


@given(
    mixup=st.sampled_from([0.0, 0.2, 1.0]),
    cutmix=st.sampled_from([0.0, 0.2, 1.0]),
    targets=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    seed=st.integers(0, 999),
)
def test_targets_hold_how_much_of_each_class_is_shown(
    mixup: float, cutmix: float, targets: list[int], seed: int
) -> None:
    classes = torch.tensor(targets)
    # An image of class c is 1 in channel c and 0 elsewhere, so that its mean is its target.
    shares = nn.functional.one_hot(classes, 3).float()
    images = shares[:, :, None, None].expand(-1, -1, 8, 8).clone()
    mix = build_mixing(RecipeConfig(mixup=mixup, cutmix=cutmix), 3)
    if not mixup + cutmix:
        assert mix is None
        return
    assert mix is not None
    torch.manual_seed(seed)
    mixed, found = mix.mix(images, classes, mix.draw(8, 8))
    assert torch.allclose(mixed.mean((2, 3)), found, atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(len(targets)))
    torch.manual_seed(seed)
    assert torch.equal(mix.mix(images, classes, mix.draw(8, 8))[0], mixed)


def test_both_ways_of_mixing_occur() -> None:
    mix = build_mixing(RecipeConfig(mixup=1.0, cutmix=1.0), 2)
    assert mix is not None
    images = torch.tensor([0.0, 1.0])[:, None, None, None].expand(-1, 3, 16, 16)
    torch.manual_seed(0)
    mixed = [mix.mix(images, torch.tensor([0, 1]), mix.draw(16, 16))[0] for _ in range(20)]
    # CutMix leaves every pixel as it was in one of the images; MixUp leaves none so.
    cut = [set(batch.flatten().tolist()) <= {0.0, 1.0} for batch in mixed]
    assert 3 < sum(cut) < 17


def test_mixed_images_have_shares_of_all_their_defects() -> None:
    mix = build_mixing(RecipeConfig(mixup=1.0), 3)
    assert mix is not None
    torch.manual_seed(0)
    targets = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    _, mixed = mix.mix(torch.zeros(2, 3, 4, 4), targets, mix.draw(4, 4))
    share = mixed[0, 0]
    assert 0 < share < 1
    expected = torch.stack([share, share, 1 - share])
    assert torch.allclose(mixed[0], expected)
    assert torch.allclose(mixed[1], 1 - expected)


def test_nothing_is_read_from_the_device() -> None:
    """A recorded step can't read; of the device "meta", nobody can."""
    mix = build_mixing(RecipeConfig(mixup=1.0, cutmix=1.0), 3)
    assert mix is not None
    images, targets = (torch.empty(2, 3, 8, 8, device="meta"), torch.zeros(2, device="meta"))
    mixed, shares = mix.mix(images, targets[:, None].expand(2, 3), mix.draw(8, 8).to("meta"))
    assert (mixed.shape, shares.shape) == ((2, 3, 8, 8), (2, 3))
