"""The spin count of OpenMP's threads: training speed alone, and beside one busy process.

`python -m benchmarks.spinning` prints images per second for each spin count.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
import tyro
from torch import nn

from benchmarks.measurement import Measurement, number_column
from trainer.config.recipe import RecipeConfig
from trainer.fitting.optimizer import build_optimizer

WARM_UP_STEPS = 2
VARIABLE = "GOMP_SPINCOUNT"


@dataclass(frozen=True)
class Settings:
    """The spin count of OpenMP's threads: training speed alone, and beside a busy process."""

    model: str = "tf_efficientnet_lite0"
    """timm's name."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 160
    """Side in pixels."""
    seconds: float = 10.0
    """Duration of each measurement."""
    rounds: int = 3
    """Measurements of each count, interleaved; the table shows their median."""
    spins: tuple[int, ...] = (0, 10_000)
    """Counts to compare with OpenMP's default."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print the table."""
    counts: list[int | None] = [None, *settings.spins]
    rates: dict[tuple[int | None, bool], list[float]] = {}
    for number in range(settings.rounds):
        for count in counts:
            for busy in (False, True):
                print(f"round {number + 1}, {count}, busy: {busy} …", file=sys.stderr)
                rate = _measured(count, settings, busy=busy)
                rates.setdefault((count, busy), []).append(rate)
    measurement = Measurement(
        [
            number_column(VARIABLE, "{:,}"),
            number_column("alone", "{:.1f}"),
            number_column("beside a busy process", "{:.1f}"),
            number_column("lowest–highest alone", "{:.1f}–{:.1f}"),
            number_column("beside", "{:.1f}–{:.1f}"),
        ],
        f"images per second, {settings.model} at {settings.image_size} px in batches of "
        f"{settings.batch_size}, median of {settings.rounds} turns",
    )
    for count in counts:
        cells = [rates[count, busy] for busy in (False, True)]
        measurement.add(
            "default" if count is None else count,
            *(statistics.median(cell) for cell in cells),
            *((min(cell), max(cell)) for cell in cells),
        )
    measurement.write(settings.json)


def _measured(count: int | None, settings: Settings, *, busy: bool) -> float:
    """Return images per second of a new process, since OpenMP reads the variable when it loads."""
    os.environ.pop(VARIABLE, None)
    if count is not None:
        os.environ[VARIABLE] = str(count)
    context = multiprocessing.get_context("spawn")
    neighbor = context.Process(target=_spin, daemon=True)
    if busy:
        neighbor.start()
    try:
        with ProcessPoolExecutor(1, context) as process:
            return process.submit(images_per_second, settings).result()
    finally:
        if busy:
            neighbor.terminate()
            neighbor.join()


def _spin() -> None:
    while True:
        pass


def images_per_second(settings: Settings) -> float:
    """Return the rate over all steps within the duration."""
    torch.manual_seed(0)
    model = timm.create_model(settings.model, num_classes=6)
    model = model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, RecipeConfig(), torch.device("cpu"))
    inputs = torch.rand(settings.batch_size, 3, settings.image_size, settings.image_size)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    targets = torch.arange(settings.batch_size) % 6
    steps, start = -WARM_UP_STEPS, time.perf_counter()
    while steps <= 0 or time.perf_counter() - start < settings.seconds:
        if steps == 0:
            start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(model(inputs).float(), targets)
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        steps += 1
    return steps * settings.batch_size / (time.perf_counter() - start)


if __name__ == "__main__":
    main(tyro.cli(Settings))
