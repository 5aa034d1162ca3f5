"""The share of a training step that the CPU or GPU spends waiting for data.

The steps are those of the program; only the loop around them is this benchmark's, which reads the
clock between loading and training. Augmentation is part of the step, and its share is printed, too.
On a GPU each clock reading waits for the device, so nothing is loaded while it computes: the true
share is smaller.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
import tyro
from accelerate import Accelerator

from benchmarks.measurement import Measurement, number_column, text_column
from trainer.config.groups import DataConfig, ModelConfig, RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.config.run_folder import RunContext
from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import prepare_images
from trainer.fitting.inputs import image_inputs
from trainer.fitting.loop import TrainingLoop
from trainer.fitting.time_left import Workload
from trainer.model import backbone
from trainer.model.precision import choose_precision
from trainer.runtime import system
from trainer.synthetic.samples import CLASSES, write_samples

WARM_UP_STEPS = 2
OTHERS_PER_CLASS = 2


@dataclass(frozen=True)
class Settings:
    """The share of a training step that is spent waiting for data."""

    models: tuple[str, ...] = ("tf_efficientnet_lite0", "convnext_atto", "convnext_tiny")
    """timm's names."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 224
    """Side in pixels."""
    steps: int = 12
    """Timed, after two warm-up steps."""
    workers: int = 0
    """Processes that load images."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


@dataclass(frozen=True)
class StepSeconds:
    """Mean seconds of a step: in total, waiting for its batch, augmenting the batch."""

    whole: float
    waiting: float
    augmenting: float


def main(settings: Settings) -> None:
    """Print the table."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    accelerator = Accelerator(mixed_precision=choose_precision(RunConfig()))
    if accelerator.device.type == "cpu":
        system.keep_freed_memory()
    measurement = Measurement(
        [
            text_column("Model"),
            number_column("A step", "{:.0f} ms"),
            number_column("Waiting for data", "{:.1f} %"),
            number_column("Augmenting", "{:.1f} %"),
        ],
        f"batches of {settings.batch_size} at {settings.image_size} px",
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        batches = WARM_UP_STEPS + settings.steps
        write_samples(
            folder / "images",
            # A tenth is for validation; one more batch compensates for it.
            train_per_class=-(-(batches + batches // 8 + 1) * settings.batch_size // len(CLASSES)),
            test_per_class=OTHERS_PER_CLASS,
        )
        for name in settings.models:
            print(f"{name} …", file=sys.stderr)
            (folder / name).mkdir()
            step = step_seconds(name, settings, folder, accelerator)
            shares = (100 * share / step.whole for share in (step.waiting, step.augmenting))
            measurement.add(f"`{name}`", 1000 * step.whole, *shares)
    measurement.write(settings.json)


def step_seconds(
    name: str, settings: Settings, folder: Path, accelerator: Accelerator
) -> StepSeconds:
    """Take training steps and time them."""
    loop = build_loop(name, settings, folder, accelerator)
    batches = iter(loop.train_batches)
    whole, waiting, augmenting = [], [], []
    for number in range(WARM_UP_STEPS + settings.steps):
        start = time.perf_counter()
        batch = next(batches)
        arrived = time.perf_counter()
        loop.training_step.step([batch], number)
        whole.append(_now(accelerator) - start)
        waiting.append(arrived - start)
        # Augment the batch again, to time it separately.
        start = time.perf_counter()
        loop.training_step.augment(batch[0])
        augmenting.append(_now(accelerator) - start)
    accelerator.free_memory()
    means = (
        sum(seconds[WARM_UP_STEPS:]) / settings.steps for seconds in (whole, waiting, augmenting)
    )
    return StepSeconds(*means)


def build_loop(
    name: str, settings: Settings, folder: Path, accelerator: Accelerator
) -> TrainingLoop:
    """Prepare a training as `trainer/run.py` does."""
    config = TrainConfig(
        data=DataConfig(data_dir=(str(folder / "images"),)),
        model=ModelConfig(model=name, pretrained=False, image_size=settings.image_size),
        recipe=RecipeConfig(batch_size=settings.batch_size),
        run=RunConfig(run_dir=folder / name, workers=settings.workers),
    )
    [images] = prepare_images(config.data, config.run, None, folder / name)
    built = backbone.build(config.model, len(images.labels))
    context = RunContext(folder / name, datetime.now(UTC), accelerator)
    inputs = image_inputs(built, images, config.recipe, config.run, context, tile=False)
    work = Workload(len(images.splits["train"]), 0, 0, settings.image_size)
    return TrainingLoop(inputs, images, config.recipe, config.run, context, work)


def _now(accelerator: Accelerator) -> float:
    if accelerator.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main(tyro.cli(Settings))
