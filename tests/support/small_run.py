"""Runs that take seconds, for tests that train, stop and go on."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from trainer.config.groups import (
    ChecksConfig,
    DataConfig,
    ModelConfig,
    RunConfig,
)
from trainer.config.recipe import RecipeConfig
from trainer.config.settings import TrainConfig
from trainer.run import train
from trainer.runtime.interruption import Stopped


def small_config(
    data_dir: Path | None,
    run_dir: Path,
    *,
    model: str = "test_convnext",
    publish_images: bool = False,
    robustness_images: int = 0,
    mixed_precision: Any = "no",
    workers: int = 0,
    **recipe: Any,
) -> TrainConfig:
    """Return settings for 32-pixel images and a tiny model; `recipe` overrides RecipeConfig."""
    settings: dict[str, Any] = {"epochs": 3, "batch_size": 8, "lr": 1e-3}
    return TrainConfig(
        data=DataConfig(
            data_dir=(str(data_dir),) if data_dir else (),
            validation_fraction=0.25,
            publish_images=publish_images,
        ),
        model=ModelConfig(model=model, pretrained=False, image_size=32),
        recipe=RecipeConfig(**settings | recipe),
        checks=ChecksConfig(robustness_images=robustness_images),
        run=RunConfig(run_dir=run_dir, mixed_precision=mixed_precision, workers=workers),
    )


def train_until(
    step: int,
    config: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
    signal_number: signal.Signals = signal.SIGINT,
) -> None:
    """Train, and send a signal while a backward pass (counted from 0) is under way."""
    backward, steps = Accelerator.backward, itertools.count()

    def interrupted(accelerator: Accelerator, loss: torch.Tensor) -> None:
        if next(steps) == step:
            # Processes that load images get it, too: from a terminal, Docker, Slurm or torchrun.
            for loader in multiprocessing.active_children():
                os.kill(loader.pid or 0, signal_number)
            os.kill(os.getpid(), signal_number)
        backward(accelerator, loss)

    with monkeypatch.context() as patched:
        patched.setattr(Accelerator, "backward", interrupted)
        with pytest.raises(Stopped) as stopped:
            train(config)
    assert stopped.value.exit_code == 128 + signal_number


def going_on(config: TrainConfig) -> TrainConfig:
    """Return the settings with which a stopped run goes on."""
    return replace(config, run=replace(config.run, resume=True))
