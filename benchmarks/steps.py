"""What each choice of precision, layout and memory brings to a training step.

`python -m benchmarks.steps` prints images a second, and each as a ratio to the plain way.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import timm
import torch
import tyro
from accelerate import Accelerator
from torch import nn

from benchmarks.table import head, heading, row, times
from trainer.config.settings import RecipeConfig, RunConfig
from trainer.fitting.compilation import compiled
from trainer.fitting.optimizer import build_optimizer
from trainer.fitting.precision import choose_precision, spare_slow_convolutions
from trainer.runtime import system

WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Way:
    """One way to take a step."""

    name: str
    precision: str = "bf16"
    layout: torch.memory_format = torch.channels_last
    slow_layers_spared: bool = False
    freed_memory_kept: bool = False
    compiled: bool = False


def ways(precision: str) -> tuple[Way, ...]:
    """Return the rows, each with what stands above it; bf16 only where it is native."""
    plain = (
        Way("float32, contiguous", precision="no", layout=torch.contiguous_format),
        Way("float32, channels_last", precision="no"),
    )
    if precision == "no":
        return (
            *plain,
            Way("… and freed memory kept", precision="no", freed_memory_kept=True),
            Way("… and compiled", precision="no", freed_memory_kept=True, compiled=True),
        )
    return (
        *plain,
        Way("bf16, contiguous", layout=torch.contiguous_format),
        Way("bf16, channels_last"),
        Way("… depthwise layers in float32", slow_layers_spared=True),
        Way("… and freed memory kept", slow_layers_spared=True, freed_memory_kept=True),
        Way("… and compiled", slow_layers_spared=True, freed_memory_kept=True, compiled=True),
    )


@dataclass(frozen=True)
class Settings:
    """What each choice of precision, layout and memory brings to a training step."""

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
    print(
        heading(
            f"batches of {settings.batch_size} at {settings.image_size} px, whole steps with AdamW"
        )
    )
    print(head("model", "step", "images a second", "of the first row", texts=2))
    for name in settings.models:
        first = None
        for way in ways(choose_precision(RunConfig())):
            print(f"{name}, {way.name} …", file=sys.stderr)
            # A process for each: what one has told its C library, it can't take back.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, context) as process:
                rate = process.submit(images_per_second, name, way, settings).result()
            first = first or rate
            print(row(name, way.name, f"{rate:.1f}", times(rate / first)), flush=True)


def images_per_second(name: str, way: Way, settings: Settings) -> float:
    """Return the rate of the fastest step."""
    accelerator = Accelerator(mixed_precision=way.precision)
    if way.freed_memory_kept:
        system.keep_freed_memory()
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=6).to(memory_format=way.layout)
    if way.slow_layers_spared:
        spare_slow_convolutions(model, accelerator)
    optimizer = build_optimizer(model, RecipeConfig(), accelerator.device)
    model, optimizer = accelerator.prepare(model, optimizer)
    if way.compiled:
        model = compiled(model)
    shape = (settings.batch_size, 3, settings.image_size, settings.image_size)
    inputs = torch.rand(shape, device=accelerator.device).contiguous(memory_format=way.layout)
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
    return settings.batch_size / min(seconds[WARM_UP_STEPS:])


if __name__ == "__main__":
    main(tyro.cli(Settings))
