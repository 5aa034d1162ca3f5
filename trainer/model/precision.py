"""Numerical precision: bf16 where it is fast, float32 elsewhere."""

from __future__ import annotations

from types import MethodType
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch import nn

from trainer.config.groups import RunConfig


def choose_precision(config: RunConfig) -> Literal["no", "bf16", "fp16"]:
    """Resolve `auto`: bf16 where it is native; emulated bf16 is slower than float32."""
    if config.mixed_precision != "auto":
        return config.mixed_precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if torch.backends.mps.is_available():
        return "no"
    # torch has no public function for this yet.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "no"


def spare_slow_convolutions(model: nn.Module, accelerator: Accelerator) -> None:
    """Run depthwise convolutions in float32 where a CPU runs the rest in bf16.

    On CPUs their gradient is several times slower in bf16 than in float32: EfficientNet-Lite0 would
    train at half the speed, ConvNeXt at nine tenths (`python -m benchmarks.steps`).
    """
    if accelerator.device.type != "cpu" or accelerator.mixed_precision != "bf16":
        return
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels:
            # As a bound method, it is copied with the model.
            vars(module)["forward"] = MethodType(_forward_in_float32, module)


def _forward_in_float32(module: Any, inputs: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        result: torch.Tensor = type(module).forward(module, inputs.float())
    return result
