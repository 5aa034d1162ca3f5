"""The effect of precision, memory layout and memory allocation on the speed of a training step.

`python -m benchmarks.steps` prints images per second; each row adds one measure to those above.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
import tyro
from accelerate import Accelerator
from torch import nn

from benchmarks.measurement import Measurement, number_column, text_column
from trainer.config.groups import RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.fitting.optimizer import build_optimizer
from trainer.model.compilation import compiled
from trainer.model.precision import choose_precision, spare_slow_convolutions
from trainer.runtime import system

WARM_UP_STEPS = 2
COMPILED = "compiled as well (`--compile`)"


@dataclass(frozen=True)
class Way:
    """One way to take a step."""

    name: str
    precision: str = "bf16"
    layout: torch.memory_format = torch.channels_last
    depthwise_in_float32: bool = False
    freed_memory_reused: bool = False
    compiled: bool = False


def ways(precision: str) -> tuple[Way, ...]:
    """Return the rows, each of which adds to the one above; bf16 only where it is native."""
    plain = (
        Way("float32", precision="no", layout=torch.contiguous_format),
        Way("channels_last", precision="no"),
    )
    if precision == "no":
        return (
            *plain,
            Way("keep freed memory", precision="no", freed_memory_reused=True),
            Way(COMPILED, precision="no", freed_memory_reused=True, compiled=True),
        )
    return (
        *plain,
        Way("bf16"),
        Way("depthwise convolutions in float32", depthwise_in_float32=True),
        Way("keep freed memory", depthwise_in_float32=True, freed_memory_reused=True),
        Way(COMPILED, depthwise_in_float32=True, freed_memory_reused=True, compiled=True),
    )


@dataclass(frozen=True)
class Settings:
    """The effect of precision, memory layout and memory allocation on a training step."""

    models: tuple[str, ...] = ("tf_efficientnet_lite0", "convnext_atto", "convnext_tiny")
    """timm's names."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 224
    """Side in pixels."""
    steps: int = 6
    """Timed for each row; the fastest counts, since other programs can only slow it down."""
    compiled: bool = True
    """Time the compiled step, too; to compile it takes minutes."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print the table: a row for each way and a column for each model."""
    measurement = Measurement(
        [text_column("Step"), *(number_column(f"`{name}`", "{:.1f}") for name in settings.models)],
        f"images per second in batches of {settings.batch_size} at {settings.image_size} px, whole "
        "steps with AdamW",
    )
    # Its server imports torch once, for all rows.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.steps"])
    rates: list[list[float]] = []
    for way in ways(choose_precision(RunConfig())):
        if way.compiled:
            measurement.add("**total**", *(f"**{ratio}**" for ratio in gains(rates)))
            if not settings.compiled:
                continue
        rates.append([rate_of(name, way, settings, context) for name in settings.models])
        measurement.add(way.name, *rates[-1])
    measurement.write(settings.json)


def gains(rates: Sequence[Sequence[float]]) -> list[str]:
    """Return the rates of the last row relative to the first."""
    return [f"{last / first:.2f} ×" for first, last in zip(rates[0], rates[-1], strict=True)]


def rate_of(
    name: str, way: Way, settings: Settings, context: multiprocessing.context.BaseContext
) -> float:
    """Measure in a new process: settings of the C library can't be undone."""
    print(f"{name}, {way.name} …", file=sys.stderr)
    with ProcessPoolExecutor(1, context) as process:
        return process.submit(images_per_second, name, way, settings).result()


def images_per_second(name: str, way: Way, settings: Settings) -> float:
    """Return the rate of the fastest step."""
    accelerator = Accelerator(mixed_precision=way.precision)
    if way.freed_memory_reused:
        system.keep_freed_memory()
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=6).to(memory_format=way.layout)
    if way.depthwise_in_float32:
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
