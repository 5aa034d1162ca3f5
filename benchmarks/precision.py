"""Training steps in each precision and memory layout: what decides the defaults of a processor.

`python -m benchmarks.precision` prints images a second, and each as a ratio to the first row.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import timm
import torch
import tyro
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from trainer.config import RecipeConfig
from trainer.machine import accelerator_name, core_count, processor_name
from trainer.optimisation import build_optimizer
from trainer.precision import spare_slow_convolutions

WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Settings:
    """Training steps in each precision and memory layout."""

    models: tuple[str, ...] = ("tf_efficientnet_lite0", "convnext_atto", "convnext_tiny")
    """timm's names."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 224
    """Side in pixels."""
    steps: int = 6
    """Timed for each row; the fastest counts, since other programs only make it slower."""


def main(settings: Settings) -> None:
    """Print the table."""
    device = Accelerator().device
    print(
        f"{accelerator_name(device) or processor_name()}, {core_count()} cores, "
        f"{time.strftime('%d %B %Y')}; batches of {settings.batch_size} at "
        f"{settings.image_size} px, whole steps with AdamW.\n"
    )
    print("| model | precision | layout | images a second | of the first row |")
    print("| --- | --- | --- | --: | --: |")
    for name in settings.models:
        first = None
        for precision in ("float32", "bf16", "bf16, slow layers spared"):
            for layout in (torch.contiguous_format, torch.channels_last):
                print(f"{name}, {precision}, {layout} …", file=sys.stderr)
                rate = images_per_second(name, precision, layout, settings)
                first = first or rate
                layout_name = str(layout).removeprefix("torch.").removesuffix("_format")
                print(
                    f"| {name} | {precision} | {layout_name} | {rate:.1f} | {rate / first:.2f} × |"
                )


def images_per_second(
    name: str, precision: str, layout: torch.memory_format, settings: Settings
) -> float:
    """Return the rate of the fastest step."""
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(mixed_precision="no" if precision == "float32" else "bf16")
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=6).to(memory_format=layout)
    if "spared" in precision:
        spare_slow_convolutions(model, accelerator)
    optimizer = build_optimizer(model, RecipeConfig(), accelerator.device)
    model, optimizer = accelerator.prepare(model, optimizer)
    shape = (settings.batch_size, 3, settings.image_size, settings.image_size)
    inputs = torch.rand(shape, device=accelerator.device).contiguous(memory_format=layout)
    targets = torch.arange(settings.batch_size, device=accelerator.device) % 6
    seconds = []
    for _ in range(WARM_UP_STEPS + settings.steps):
        start = time.perf_counter()
        accelerator.backward(nn.functional.cross_entropy(model(inputs), targets))
        optimizer.step()
        optimizer.zero_grad()
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    accelerator.free_memory()
    return settings.batch_size / min(seconds[WARM_UP_STEPS:])


if __name__ == "__main__":
    main(tyro.cli(Settings))
