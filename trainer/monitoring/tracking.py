"""Curves for TensorBoard or trackio, by accelerate's trackers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from accelerate import Accelerator

from trainer.config.run_folder import RunContext
from trainer.config.settings import RunConfig, TrainConfig
from trainer.errors import ConfigError
from trainer.monitoring.epoch_log import EpochResult

PROJECT = "strip-defect-classifier"
TENSORBOARD_DIR = "tensorboard"
# By these, trackio sends what it is given to another machine.
SENDING = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


def check_tracker(config: RunConfig) -> None:
    """Make sure that what `--log-with` names is there, and stays on this machine.

    Raises:
        ConfigError: it is not installed, or the environment tells it to send the curves away.
    """
    if config.log_with == "none":
        return
    if find_spec(config.log_with) is None:
        raise ConfigError(
            f"--log-with {config.log_with} needs a package that is not installed: "
            f"pip install {config.log_with}"
        )
    sending = [name for name in SENDING if os.environ.get(name)]
    if config.log_with == "trackio" and sending:
        raise ConfigError(
            f"--log-with trackio keeps the curves on this machine, but {sending[0]} is set and "
            "would send them to another. Unset it; `trackio sync` can send them later."
        )


@contextmanager
def tracking(config: TrainConfig, context: RunContext) -> Iterator[None]:
    """Keep the curves of one training, inside a `with` block; a resumed one goes on with them.

    Args:
        config: its settings are logged, too.
        context: its folder and start name this training for trackio.
    """
    chosen = config.run.log_with
    if chosen == "none":
        yield
        return
    accelerator, run_dir = context.accelerator, context.run_dir
    accelerator.log_with = [chosen]
    accelerator.project_configuration.logging_dir = str(run_dir)
    # TensorBoard would list the settings of a resumed run twice.
    told = chosen == "trackio" or not (run_dir / TENSORBOARD_DIR).exists()
    place = "/".join(run_dir.resolve().parts[-2:])
    kept_local = {
        "name": f"{place} {context.started:%Y-%m-%d %H:%M:%S}",
        "resume": "allow",
        "embed": False,
        "auto_log_cpu": False,
        "auto_log_gpu": False,
    }
    # trackio speaks to people on stdout, where only data belongs.
    with redirect_stdout(sys.stderr):
        accelerator.init_trackers(
            TENSORBOARD_DIR if chosen == "tensorboard" else PROJECT,
            config=_settings(config) if told else None,
            init_kwargs={"trackio": kept_local},
        )
    try:
        yield
    finally:
        # Not end_training(), which also parts the processes: another fold may follow.
        with redirect_stdout(sys.stderr):
            for tracker in accelerator.trackers:
                tracker.finish()
            if chosen == "trackio" and accelerator.is_main_process:
                import trackio  # noqa: PLC0415 -- few have it

                # Or it would finish once more, on stdout, when the program ends.
                trackio.finish()
        accelerator.trackers.clear()


def track(accelerator: Accelerator, result: EpochResult, images_per_second: float) -> None:
    """Add an epoch to the curves, if there are any."""
    curves = {
        "loss/train": result.train_loss,
        "loss/validation": result.validation_loss,
        "accuracy/train": result.train_accuracy,
        "accuracy/validation": result.validation_accuracy,
        "lr": result.lr,
        "images_per_second": images_per_second,
    }
    accelerator.log(curves, step=result.epoch)


def _settings(config: TrainConfig) -> dict[str, Any]:
    """Return all settings by name; numbers as numbers, so that they can be compared."""
    settings = {}
    for group in (config.data, config.model, config.recipe, config.run):
        for item in fields(group):
            value = getattr(group, item.name)
            settings[item.name] = value if isinstance(value, bool | int | float) else str(value)
    return settings
