"""Threads and their spin count: training speed alone, and beside one busy process.

`python -m benchmarks.spinning` prints images per second for each spin count, with a fixed number
of threads and with the number that `trainer.monitoring.busy_cores` chooses.
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
from typing import NamedTuple

import timm
import torch
import tyro
from accelerate import Accelerator
from torch import nn

from benchmarks.measurement import Measurement, number_column, text_column
from trainer.config.groups import RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.fitting.optimizer import build_optimizer
from trainer.model.precision import choose_precision
from trainer.monitoring.busy_cores import ThreadLimit
from trainer.runtime.system import keep_freed_memory

VARIABLE = "GOMP_SPINCOUNT"


@dataclass(frozen=True)
class Settings:
    """Threads and their spin count: training speed alone, and beside a busy process."""

    model: str = "tf_efficientnet_lite0"
    """timm's name."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 160
    """Side in pixels."""
    seconds: float = 10.0
    """Duration of each measurement."""
    warm_up_s: float = 10.0
    """Seconds of training before it, so that the number of threads can change."""
    rounds: int = 3
    """Measurements of each row, interleaved; the table shows their median."""
    spins: tuple[int, ...] = (10_000,)
    """Counts to compare with OpenMP's default."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


class Policy(NamedTuple):
    """A row: the spin count, None for OpenMP's default, and whether the threads are fixed."""

    spins: int | None
    fixed: bool


def main(settings: Settings) -> None:
    """Print the table."""
    counts: list[int | None] = [None, *settings.spins]
    # The last row is what the commands do.
    policies = [*(Policy(count, fixed=True) for count in counts), Policy(counts[-1], fixed=False)]
    rates: dict[tuple[Policy, bool], list[float]] = {}
    for number in range(settings.rounds):
        for policy in policies:
            for busy in (False, True):
                print(f"round {number + 1}, {policy}, busy: {busy} …", file=sys.stderr)
                rate = _measured(policy, settings, busy=busy)
                rates.setdefault((policy, busy), []).append(rate)
    precision = "bf16" if _in_bf16() else "float32"
    measurement = Measurement(
        [
            number_column(VARIABLE, "{:,}"),
            text_column("Threads"),
            number_column("alone", "{:.1f}"),
            number_column("beside a busy process", "{:.1f}"),
            number_column("lowest–highest alone", "{:.1f}–{:.1f}"),
            number_column("beside", "{:.1f}–{:.1f}"),
            number_column("beside ÷ alone at the default", "{:.2f}"),
        ],
        f"images per second, {settings.model} at {settings.image_size} px in batches of "
        f"{settings.batch_size}, {precision}, median of {settings.rounds} turns",
    )
    undisturbed = statistics.median(rates[policies[0], False])
    for policy in policies:
        cells = [rates[policy, busy] for busy in (False, True)]
        medians = [statistics.median(cell) for cell in cells]
        measurement.add(
            "default" if policy.spins is None else policy.spins,
            "fixed" if policy.fixed else "by free cores",
            *medians,
            *((min(cell), max(cell)) for cell in cells),
            medians[1] / undisturbed,
        )
    measurement.write(settings.json)


def _measured(policy: Policy, settings: Settings, *, busy: bool) -> float:
    """Return images per second of a new process, since OpenMP reads the variable when it loads."""
    os.environ.pop(VARIABLE, None)
    if policy.spins is not None:
        os.environ[VARIABLE] = str(policy.spins)
    context = multiprocessing.get_context("spawn")
    neighbor = context.Process(target=_spin, daemon=True)
    if busy:
        neighbor.start()
    try:
        with ProcessPoolExecutor(1, context) as process:
            return process.submit(images_per_second, settings, fixed=policy.fixed).result()
    finally:
        if busy:
            neighbor.terminate()
            neighbor.join()


def _spin() -> None:
    while True:
        pass


def _in_bf16() -> bool:
    """Return whether a training on this machine computes in bf16."""
    return choose_precision(RunConfig()) == "bf16"


def images_per_second(settings: Settings, *, fixed: bool) -> float:
    """Return the rate over all steps within the duration, after the warm-up."""
    torch.manual_seed(0)
    keep_freed_memory()
    model = timm.create_model(settings.model, num_classes=6)
    model = model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, RecipeConfig(), torch.device("cpu"))
    inputs = torch.rand(settings.batch_size, 3, settings.image_size, settings.image_size)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    targets = torch.arange(settings.batch_size) % 6
    threads = ThreadLimit(Accelerator(cpu=True), compiled=fixed)
    bf16 = _in_bf16()
    begin = now_s = time.monotonic()
    steps, start_s = 0, None
    while start_s is None or steps == 0 or now_s - start_s < settings.seconds:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy(model(inputs).float(), targets)
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        now_s = time.monotonic()
        threads.step(now_s)
        if start_s is not None:
            steps += 1
        elif now_s - begin >= settings.warm_up_s:
            start_s = now_s
    return steps * settings.batch_size / (now_s - start_s)


if __name__ == "__main__":
    main(tyro.cli(Settings))
