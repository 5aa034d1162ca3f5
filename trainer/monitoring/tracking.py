"""Training curves in TensorBoard or trackio, through accelerate's trackers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from typing import Any

from accelerate import Accelerator

from trainer.config.groups import RunConfig
from trainer.config.run_folder import RunContext
from trainer.config.settings import Setting
from trainer.errors import ConfigError
from trainer.monitoring.epoch_log import EpochResult

PROJECT = "strip-defect-classifier"
TENSORBOARD_DIR = "tensorboard"
# With one of these set, trackio sends curves to another machine.
SENDING = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


def check_tracker(config: RunConfig) -> None:
    """Check that the tracker of `--log-with` is installed and stores its data on this machine.

    Raises:
        ConfigError: it is not installed, or the environment makes it send data elsewhere.
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
            f"--log-with trackio stores the curves on this machine, but {sending[0]} is set and "
            "would send them to another. Unset it; `trackio sync` can send them later."
        )


@contextmanager
def tracking(log_with: str, settings: Sequence[Setting], context: RunContext) -> Iterator[None]:
    """Record the curves of one training inside a `with` block; a resumed one appends to them.

    Args:
        log_with: "tensorboard", "trackio" or "none".
        settings: of the training; the tracker records them, too.
        context: its folder and start name this training in trackio.
    """
    if log_with == "none":
        yield
        return
    accelerator, run_dir = context.accelerator, context.run_dir
    accelerator.log_with = [log_with]
    accelerator.project_configuration.logging_dir = str(run_dir)
    # TensorBoard would list the settings of a resumed run twice.
    with_settings = log_with == "trackio" or not (run_dir / TENSORBOARD_DIR).exists()
    place = "/".join(run_dir.resolve().parts[-2:])
    local = {
        "name": f"{place} {context.started:%Y-%m-%d %H:%M:%S}",
        "resume": "allow",
        "embed": False,
        "auto_log_cpu": False,
        "auto_log_gpu": False,
    }
    # trackio prints messages to stdout, which is for data only.
    with redirect_stdout(sys.stderr):
        accelerator.init_trackers(
            TENSORBOARD_DIR if log_with == "tensorboard" else PROJECT,
            config=_by_name(settings) if with_settings else None,
            init_kwargs={"trackio": local},
        )
    try:
        yield
    finally:
        # Not end_training(), which also ends the process group: another fold may follow.
        with redirect_stdout(sys.stderr):
            for tracker in accelerator.trackers:
                tracker.finish()
            if log_with == "trackio" and accelerator.is_main_process:
                import trackio  # noqa: PLC0415 -- an optional package

                # Otherwise it would finish again, on stdout, when the program ends.
                trackio.finish()
        accelerator.trackers.clear()


def track(accelerator: Accelerator, result: EpochResult, images_per_second: float) -> None:
    """Add an epoch to the curves, if a tracker is active."""
    curves = {
        "loss/train": result.train_loss,
        "loss/validation": result.validation_loss,
        "accuracy/train": result.train_accuracy,
        "accuracy/validation": result.validation_accuracy,
        "lr": result.lr,
        "images_per_second": images_per_second,
    }
    accelerator.log(curves, step=result.epoch)


def _by_name(settings: Sequence[Setting]) -> dict[str, Any]:
    """Return all settings by name; numbers as numbers, so that they can be compared."""
    return {
        each.name: each.value if isinstance(each.value, bool | int | float) else str(each.value)
        for each in settings
    }
