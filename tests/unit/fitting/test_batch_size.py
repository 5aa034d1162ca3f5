"""The largest batch: found by trying, without a change to what a step sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.support.small_run import small_config
from trainer.config.settings import TrainConfig
from trainer.errors import ConfigError
from trainer.fitting import batch_size
from trainer.fitting.batch_size import (
    batch_sizes,
    check_gpu,
    largest_that_fits,
    resolve_batch_size,
    try_step,
)

TOO_LARGE = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


class SmallMemory(nn.Module):
    """A network in a memory that holds so many images."""

    def __init__(self, holds: int) -> None:
        super().__init__()
        self.holds = holds
        self.tried: list[int] = []
        self.layer = nn.Linear(3, 2)

    def __deepcopy__(self, memo: Any) -> SmallMemory:
        copied = SmallMemory(self.holds)
        copied.tried = self.tried
        return copied

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.tried.append(len(inputs))
        if len(inputs) > self.holds:
            raise TOO_LARGE
        outputs: torch.Tensor = self.layer(inputs.mean((2, 3)))
        return outputs


def _config(**recipe: Any) -> TrainConfig:
    return small_config(None, Path("unused"), **recipe)


@pytest.mark.parametrize(
    ("holds", "tried"), [(99, [12]), (5, [12, 6, 4]), (1, [12, 6, 4, 3, 2, 1])]
)
@pytest.mark.slow
def test_sizes_are_tried_from_the_largest(holds: int, tried: list[int]) -> None:
    model, accelerator, config = SmallMemory(holds), Accelerator(cpu=True), _config(ema_decay=0.9)
    before = model.layer.weight.clone()
    found = largest_that_fits(
        lambda size: try_step(model, size, 32, config.recipe, accelerator), batch_sizes(12, 1)
    )
    assert (found, model.tried) == (tried[-1], tried)
    assert torch.equal(model.layer.weight, before)


@pytest.mark.slow
def test_nothing_fits() -> None:
    def attempt(size: int) -> None:
        raise TOO_LARGE

    with pytest.raises(ConfigError, match=r"does not hold even 2 images.*smaller"):
        largest_that_fits(attempt, batch_sizes(8, 2))


def test_other_errors_stay_what_they_are() -> None:
    def attempt(size: int) -> None:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        largest_that_fits(attempt, [4])


def test_batch_sizes_by_hand() -> None:
    assert batch_sizes(12, 1) == [12, 6, 4, 3, 2, 1]
    assert batch_sizes(12, 2) == [12, 6, 4, 2]


@given(share=st.integers(1, 50), processes=st.integers(1, 8))
def test_batches_make_a_whole_step_on_each_process(share: int, processes: int) -> None:
    images = share * processes
    sizes = batch_sizes(images, processes)
    assert sizes[0] == images
    assert sizes[-1] == processes
    assert all(images % size == 0 and size % processes == 0 for size in sizes)


@pytest.mark.slow
def test_a_step_takes_as_many_images_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt(model: nn.Module, images: int, *others: Any) -> None:
        assert model.get_parameter("head.fc.weight").shape[0] == 3
        if images > 5:
            raise TOO_LARGE

    monkeypatch.setattr(batch_size, "try_step", attempt)
    config = _config(batch_size=8, accumulate=2)
    # No weights are fetched for a network that is thrown away.
    model = replace(config.model, pretrained=True)
    found = resolve_batch_size(model, config.recipe, 3, 1, Accelerator(cpu=True))
    assert found == replace(config.recipe, batch_size=4, accumulate=4)
    # An image of two tiles takes the memory of two.
    found = resolve_batch_size(model, config.recipe, 3, 2, Accelerator(cpu=True))
    assert found == replace(config.recipe, batch_size=2, accumulate=8)


def test_it_is_for_gpus() -> None:
    with pytest.raises(ConfigError, match=r"--find-batch-size is for GPUs.*leave it out"):
        check_gpu(torch.device("cpu"))
    check_gpu(torch.device("cuda", 0))
