"""The arithmetic of a network, and the engine that its tests are worth."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainer.model import cost
from trainer.model.cost import choose_testing_engine, forward_operations, worth_compiling


class Network(nn.Module):
    """One convolution of 3x3 from 3 to 4 channels, and one layer to 5 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return five logits an image."""
        logits: torch.Tensor = self.head(self.convolution(pixels).mean((2, 3)))
        return logits


# Two operations for each of 3 * 3 * 3 * 4 weights at 8 * 6 places, and for each of 4 * 5 weights.
OPERATIONS = 2 * 108 * 48 + 2 * 20


def test_operations_of_a_network_by_hand() -> None:
    assert forward_operations(Network(), (8, 6)) == OPERATIONS


@pytest.mark.parametrize(("passes", "engine"), [(9, "pytorch"), (10, "auto")])
def test_the_fast_engine_runs_tests_that_are_worth_a_conversion(
    passes: int, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "WORTH_CONVERTING", 10 * OPERATIONS)
    assert choose_testing_engine(Network().eval(), (8, 6), passes) == engine


@pytest.mark.parametrize(("images", "worth"), [(9, False), (10, True)])
def test_long_trainings_are_worth_compiling(
    images: int, worth: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "WORTH_COMPILING", 10 * 2 * (27 * 4 * 36 + 4 * 36 * 36))
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 36)
    )
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert worth_compiling(network, 6, images) is worth
    assert network.training
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
