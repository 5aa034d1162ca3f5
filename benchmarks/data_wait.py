"""The share of a training that the processor or GPU spends waiting for data.

Real steps of real epochs are taken by the program's own parts; only the loop around them is this
benchmark's, so that it can look at the clock between loading and learning.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from accelerate import Accelerator

from trainer import backbone, machine
from trainer.config import DataConfig, ModelConfig, RecipeConfig, RunConfig, TrainConfig
from trainer.drawn_samples import write_samples
from trainer.fit import Fitting
from trainer.images import prepare_images
from trainer.precision import choose_precision
from trainer.task import image_task


@dataclass(frozen=True)
class Settings:
    """The share of a training that is spent waiting for data."""

    models: tuple[str, ...] = ("tf_efficientnet_lite0", "convnext_atto", "convnext_tiny")
    """timm's names."""
    train_per_class: int = 40
    """Drawn training images of each of six classes."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 224
    """Side in pixels."""
    steps: int = 12
    """Timed, after two that warm up."""


def main(settings: Settings) -> None:
    """Print the table."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    accelerator = Accelerator(mixed_precision=choose_precision(RunConfig()))
    if accelerator.device.type == "cpu":
        machine.keep_freed_memory()
    print(
        f"{machine.accelerator_name(accelerator.device) or machine.processor_name()}, "
        f"{machine.core_count()} cores, {time.strftime('%d %B %Y')}; batches of "
        f"{settings.batch_size} at {settings.image_size} px.\n"
    )
    print("| model | ms a step | of it waiting for data |")
    print("| --- | --: | --: |", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_samples(folder / "images", train_per_class=settings.train_per_class, test_per_class=2)
        for name in settings.models:
            print(f"{name} …", file=sys.stderr)
            (folder / name).mkdir()
            whole_s, waiting_s = step_seconds(name, settings, folder, accelerator)
            share = waiting_s / whole_s
            print(f"| {name} | {1000 * whole_s:.0f} | {100 * share:.1f} % |", flush=True)


def step_seconds(
    name: str, settings: Settings, folder: Path, accelerator: Accelerator
) -> tuple[float, float]:
    """Return the mean seconds of a step, and those of them that pass before its batch is there."""
    config = TrainConfig(
        data=DataConfig(data_dir=str(folder / "images")),
        model=ModelConfig(model=name, pretrained=False, image_size=settings.image_size),
        recipe=RecipeConfig(batch_size=settings.batch_size),
        run=RunConfig(run_dir=folder / name),
    )
    [images] = prepare_images(config, folder / name)
    built = backbone.build(config.model, len(images.labels))
    task = image_task(built, images, config, folder / name, accelerator)
    fitting = Fitting(task, images, config, folder / name, accelerator)
    waiting, whole = [], []
    batches = iter(fitting.train_batches)
    for number in range(2 + settings.steps):
        start = time.perf_counter()
        batch = next(batches)
        arrived = time.perf_counter()
        fitting.learner.step([batch], number)
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        waiting.append(arrived - start)
        whole.append(time.perf_counter() - start)
    accelerator.free_memory()
    return sum(whole[2:]) / settings.steps, sum(waiting[2:]) / settings.steps


if __name__ == "__main__":
    main(tyro.cli(Settings))
