"""The moving average of the weights, which is validated and published."""

from __future__ import annotations

import torch
from timm.utils import ModelEmaV3
from torch import nn

from trainer.runtime.checkpoint import Tensors

_Pair = tuple[list[torch.Tensor], list[torch.Tensor]]


class MovingAverage(ModelEmaV3):  # type: ignore[misc]  # timm has no types
    """timm's average with warm-up, in two calls a step.

    timm looks all names up at each step, and on a GPU launches a kernel for each tensor, since the
    network is still on the processor when it is copied.

    Args:
        network: whose weights are averaged.
        decay: share of the average that a step keeps, once many were taken.
        device: of the average, and of the network when the first step has been taken.
    """

    def __init__(self, network: nn.Module, decay: float, device: torch.device) -> None:
        super().__init__(network, decay=decay, use_warmup=True, device=device)
        self._averaged: _Pair | None = None
        self._counted: _Pair = ([], [])

    def apply_update_(self, model: nn.Module, decay: float) -> None:
        """Move the average toward the weights; whole numbers, which count steps, are copied."""
        if self._averaged is None:
            # Tensors stay in place from the first step on.
            averages, weights = self.module.state_dict(), model.state_dict()
            self._averaged = _paired(averages, weights, floating=True)
            self._counted = _paired(averages, weights, floating=False)
        average, weight = self._averaged
        torch._foreach_lerp_(average, weight, weight=1 - decay)
        if self._counted[0]:
            torch._foreach_copy_(*self._counted)


def _paired(averages: Tensors, weights: Tensors, *, floating: bool) -> _Pair:
    """Return the averages of one kind of numbers, and the weights that they follow."""
    names = [name for name, each in averages.items() if each.is_floating_point() is floating]
    return [averages[name] for name in names], [weights[name] for name in names]
