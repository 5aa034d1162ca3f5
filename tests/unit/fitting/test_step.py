"""One step: a batch in parts moves the weights as the whole batch does."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from accelerate import Accelerator
from torch import nn

from trainer.config.recipe import RecipeConfig
from trainer.fitting.inputs import FitInputs
from trainer.fitting.loop import grouped
from trainer.fitting.step import TrainingStep
from trainer.inputs.loading import Batch, stack_tiles
from trainer.runtime import checkpoint

LABELS = [0] * 9 + [1] * 4 + [2] * 3


def _training_step(accelerator: Accelerator, **recipe: Any) -> TrainingStep:
    torch.manual_seed(0)
    # No batch normalisation: each image passes through this network on its own.
    model = timm.create_model("test_convnext", num_classes=3)
    unused: Any = None
    inputs = FitInputs(model, unused, unused, augment=nn.Identity(), prepare=nn.Identity())
    images: Any = SimpleNamespace(
        labels=["a", "b", "c"], splits={"train": {"label": LABELS}}, multi_label=False
    )
    return TrainingStep(inputs, images, RecipeConfig(lr=1e-2, **recipe), 2, accelerator)


def _batches(size: int) -> list[Batch]:
    inputs = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor(LABELS)
    labelled = list(zip(inputs[:, None], targets.tolist(), strict=True))
    return [stack_tiles(labelled[i : i + size]) for i in range(0, 16, size)]


# 16 images as one batch, in four equal parts, and in parts of which the last is smaller.
@pytest.mark.slow
@pytest.mark.parametrize("size", [4, 7])
@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_parts_of_a_batch_move_the_weights_as_the_whole_does(size: int, weights: Any) -> None:
    accelerator = Accelerator(cpu=True)
    settings: dict[str, Any] = {"class_weights": weights, "clip_grad": 1.0, "ema_decay": 0.5}
    whole, parted = (_training_step(accelerator, **settings) for _ in range(2))
    start = {name: tensor.clone() for name, tensor in whole.network.state_dict().items()}
    for number in range(2):
        expected = whole.step(_batches(16), number)
        found = parted.step(_batches(size), number)
        assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-4)
        assert expected[2] == 16
    for state in ("network", "kept"):
        one, other = (
            x.eval_weights if state == "kept" else x.network.state_dict() for x in (whole, parted)
        )
        for name, tensor in one.items():
            # AdamW moves a weight by up to the rate; where gradients all but vanish, their
            # rounding decides.
            assert (tensor - other[name]).abs().mean() < 1e-5, name
    moved = whole.network.state_dict()["stem.0.weight"] - start["stem.0.weight"]
    assert moved.abs().mean() > 1e-3


def _scaled_step() -> TrainingStep:
    """No processor trains in fp16, but torch's scaler works on one as it does on a GPU."""
    accelerator = Accelerator(cpu=True)
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    return _training_step(accelerator)


@pytest.mark.slow
def test_the_scale_of_an_fp16_run_is_kept() -> None:
    whole, halted, resumed = (_scaled_step() for _ in range(3))
    for number in range(5):
        whole.step(_batches(16), number)
    for number in range(3):
        halted.step(_batches(16), number)
    # Doubled after two steps; the third counts for the next time.
    states = halted.states()
    assert {name: tensor.item() for name, tensor in states["scaler"].items()} == {
        "scale": 2048.0,
        "steps": 1,
    }
    resumed.restore(checkpoint.pack(**states))
    for number in range(3, 5):
        resumed.step(_batches(16), number)
    assert resumed.accelerator.scaler.get_scale() == whole.accelerator.scaler.get_scale() == 4096.0
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name


def test_a_run_goes_on_in_another_precision() -> None:
    plain, scaled = _training_step(Accelerator(cpu=True)), _scaled_step()
    for first, second in ((plain, _scaled_step()), (scaled, _training_step(Accelerator(cpu=True)))):
        first.step(_batches(16), 0)
        second.restore(checkpoint.pack(**first.states()))
        for name, tensor in first.network.state_dict().items():
            assert torch.equal(tensor, second.network.state_dict()[name]), name
        # A scale that was never found out is sought from its start.
        if second.accelerator.scaler is not None:
            assert second.accelerator.scaler.get_scale() == 1024.0


def test_groups_of_batches() -> None:
    assert list(grouped(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    # No batch is fetched before its group is wanted.
    counted = itertools.count()
    assert next(iter(grouped(counted, 3))) == [0, 1, 2]
    assert next(counted) == 3


def test_weights_lie_channels_last_and_depthwise_convolutions_are_spared() -> None:
    network = _training_step(Accelerator(cpu=True, mixed_precision="bf16")).network
    weights = network.get_parameter("stages.0.blocks.0.mlp.fc1.weight")
    stem = network.get_parameter("stem.0.weight")
    assert stem.is_contiguous(memory_format=torch.channels_last)
    assert not stem.is_contiguous()
    assert weights.is_contiguous()
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert {module.groups > 1 for module in convolutions} == {True, False}
    for module in convolutions:
        assert ("forward" in vars(module)) == (module.groups > 1)


def test_gradients_are_clipped_together_before_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []

    def step(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        gradients = [p.grad for g in optimizer.param_groups for p in g["params"]]
        norms.append(torch.nn.utils.get_total_norm([g for g in gradients if g is not None]).item())

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    for limit in (0.0, 1e-3):
        _training_step(Accelerator(cpu=True), clip_grad=limit).step(_batches(16), 0)
    assert norms[0] > 0.01
    assert norms[1] == pytest.approx(1e-3, rel=1e-2)


def test_the_average_is_evaluated_where_there_is_one() -> None:
    averaging = _training_step(Accelerator(cpu=True), ema_decay=0.5)
    assert averaging.average is not None
    assert averaging.eval_model is averaging.average.module
    plain = _training_step(Accelerator(cpu=True))
    assert plain.eval_model is plain.model
