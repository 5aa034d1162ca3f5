"""Which precision is chosen, and which layers are spared it."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from trainer.config.groups import RunConfig
from trainer.model.precision import choose_precision, spare_slow_convolutions


@pytest.fixture
def bf16() -> Accelerator:
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=True, mixed_precision="bf16")


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_what_is_asked_for_is_taken(precision: str) -> None:
    assert choose_precision(RunConfig(mixed_precision=precision)) == precision  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["test_convnext", "tf_efficientnet_lite0"])
def test_depthwise_convolutions_compute_in_float32(name: str, bf16: Accelerator) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=3).eval()
    spare_slow_convolutions(model, bf16)
    depthwise: set[torch.dtype] = set()
    others: set[torch.dtype] = set()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            seen = depthwise if module.groups > 1 else others
            module.register_forward_hook(lambda _m, _i, out, seen=seen: seen.add(out.dtype))
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        model(torch.rand(1, 3, 64, 64))
    assert depthwise == {torch.float32}
    assert others == {torch.bfloat16}


def test_a_copy_has_weights_of_its_own(bf16: Accelerator) -> None:
    """The moving average of the weights is a copy of the model."""
    model = timm.create_model("test_convnext", num_classes=3).eval()
    spare_slow_convolutions(model, bf16)
    twin = copy.deepcopy(model)
    inputs = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = model(inputs)
        for parameter in twin.parameters():
            parameter.zero_()
        assert torch.equal(model(inputs), before)
        assert torch.equal(twin(inputs), torch.zeros(1, 3))


def test_float32_runs_are_left_alone() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    model = timm.create_model("test_convnext")
    spare_slow_convolutions(model, Accelerator(cpu=True, mixed_precision="no"))
    assert not any("forward" in vars(module) for module in model.modules())
