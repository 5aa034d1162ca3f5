"""The moving average equals timm's, and takes two calls a step."""

from __future__ import annotations

import copy
from typing import Any

import timm
import torch
from timm.utils import ModelEmaV3
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.model.average import MovingAverage

CPU = torch.device("cpu")


class _Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the operators that are called; a GPU launches each in a few kernels."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def _moved(network: torch.nn.Module) -> None:
    with torch.no_grad():
        for number, tensor in enumerate(network.state_dict().values()):
            tensor.add_(1) if tensor.dtype == torch.int64 else tensor.add_(0.01 * (number + 1))


def test_the_average_is_timms_bit_for_bit_in_two_calls() -> None:
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", num_classes=3)
    theirs = ModelEmaV3(copy.deepcopy(network), decay=0.9, use_warmup=True)
    average = MovingAverage(network, 0.9, CPU)
    for step in (1, 2, 3, 80):
        _moved(network)
        theirs.update(network, step)
        with _Calls() as calls:
            average.update(network, step)
        if step > 1:  # The first one looks up the names.
            assert calls.names == ["aten._foreach_lerp_.Scalar", "aten._foreach_copy_.default"]
    found, expected = average.module.state_dict(), theirs.module.state_dict()
    assert found.keys() == expected.keys()
    assert [name for name, tensor in expected.items() if not torch.equal(tensor, found[name])] == []
    # It is no copy of the weights, and its counts are.
    assert not torch.equal(found["conv_stem.weight"], network.state_dict()["conv_stem.weight"])
    assert found["bn1.num_batches_tracked"] == 4


def test_a_network_without_counts_is_averaged() -> None:
    network = timm.create_model("test_convnext", num_classes=3)
    average = MovingAverage(network, 0.5, CPU)
    start = network.state_dict()["stem.0.weight"].clone()
    average.update(network, 1)
    _moved(network)
    average.update(network, 1000)
    moved = average.module.state_dict()["stem.0.weight"] - start
    torch.testing.assert_close(moved, torch.full_like(moved, 0.005))
