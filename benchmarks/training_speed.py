"""Training images per second: this program, timm's `train.py` and transformers' example.

All three train the same network from random weights on the same drawn images, with the same batch
and image size, each from its own command line: at its defaults, and with every flag that may make
it faster. The same clock measures all of them (`benchmarks/step_clock.py`): it records the end of
each optimizer step. The rate of an epoch is the number of its images after the first step, divided
by the seconds from the first step to the last. It includes reading, decoding, augmenting, waiting
and training, but not start-up, validation or saving. The first epoch warms up (and compiles); the
fastest of the others counts, since other programs can only slow it down.

At their defaults, ours rotates, shears, shifts and flips in one resampling; timm crops, resizes,
flips and jitters colors; transformers crops, resizes and flips. At its best, timm runs without the
jitter.

Needs checkouts of https://github.com/huggingface/pytorch-image-models and
https://github.com/huggingface/transformers, whose scripts are in no package, and a Python with
transformers installed (`pip install transformers`, here or in an environment of its own).
"""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from benchmarks.contenders import OURS, Contender, Job, ours, timms, transformers
from benchmarks.measurement import Measurement, number_column, text_column, times_column
from benchmarks.program import ProgramError, run
from trainer.synthetic.samples import CLASSES, write_samples

CLOCK = Path(__file__).parent / "step_clock.py"
OTHERS_PER_CLASS = 2


@dataclass(frozen=True)
class Settings:
    """Training images per second, compared with timm's and transformers' own scripts."""

    timm_checkout: Path
    """Folder of a checkout of pytorch-image-models."""
    transformers_checkout: Path
    """Folder of a checkout of transformers."""
    transformers_python: Path = Path(sys.executable)
    """A Python that has transformers. Default: this one."""
    models: tuple[str, ...] = ("tf_efficientnet_lite0", "convnext_atto")
    """timm's names."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 224
    """Side in pixels."""
    train_per_class: int = 80
    """Drawn training images of each of six classes."""
    epochs: int = 3
    """The first warms up."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


@dataclass(frozen=True)
class Measured:
    """Results of a program; `training_s` is the time from the first step to the last."""

    contender: Contender
    images_per_second: float
    training_s: float
    memory_gb: float


def main(settings: Settings) -> None:
    """Print a row for each program, model and set of flags."""
    with tempfile.TemporaryDirectory() as temporary:
        images = Path(temporary) / "images"
        write_samples(
            images, train_per_class=settings.train_per_class, test_per_class=OTHERS_PER_CLASS
        )
        shutil.copytree(images / "test", images / "validation")
        measurement = Measurement(
            [
                *(text_column(title) for title in ("Model", "Program", "Flags")),
                number_column("Images a second", "{:.1f}"),
                times_column("Ours is"),
                number_column("Peak memory", "{:.2f} GB"),
            ],
            f"batches of {settings.batch_size} at {settings.image_size} px, "
            f"{len(CLASSES) * settings.train_per_class} images",
            versions_of_scripts(settings),
        )
        for model in settings.models:
            job = Job(model, images, settings.image_size, settings.batch_size, settings.epochs)
            measure_all(job, settings, Path(temporary) / model, measurement)
    measurement.write(settings.json)


def versions_of_scripts(settings: Settings) -> dict[str, str]:
    """Return the version of timm in its checkout, and of transformers in its Python."""
    ask = "import {0}; print({0}.__version__)"
    places: dict[str, tuple[str | Path, Path]] = {
        # The folder that Python searches first.
        "timm": (sys.executable, settings.timm_checkout),
        "transformers": (settings.transformers_python.absolute(), Path.cwd()),
    }
    return {
        f"{name}'s script": run([python, "-c", ask.format(name)], folder).output.strip()
        for name, (python, folder) in places.items()
    }


def measure_all(job: Job, settings: Settings, output: Path, measurement: Measurement) -> None:
    """Add a row for each program and its flags.

    Raises:
        ProgramError: a program fails at its defaults.
    """
    output.mkdir()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    contenders: list[Contender] = [
        *ours(job, output),
        *timms(job, output, settings.timm_checkout, device),
        *transformers(
            job, output, settings.transformers_checkout, settings.transformers_python, device
        ),
    ]
    ours_at_defaults = None
    for contender in contenders:
        flags = f"`{contender.flags}`" if contender.flags else "defaults"
        name = f"`{job.model}`", contender.program, flags
        print(f"{', '.join(name)} …", file=sys.stderr)
        try:
            result = measure(contender, job, output)
        except ProgramError as error:
            if not contender.flags:
                raise
            # Some flags need more than every machine has, such as a C++ compiler.
            print(error, file=sys.stderr)
            measurement.add(*name, "failed", None, None)
            continue
        rate = result.images_per_second
        ours_at_defaults = ours_at_defaults or rate
        ratio = None if contender.program == OURS else ours_at_defaults / rate
        measurement.add(*name, rate, ratio, result.memory_gb)


def measure(contender: Contender, job: Job, output: Path) -> Measured:
    """Train once and read the clock.

    Raises:
        ProgramError: the program failed, or its steps do not make equal epochs.
    """
    times_file = output / "steps.txt"
    python, *command = contender.command
    done = run([python, CLOCK, times_file, *command], output)
    moments = [float(line) for line in times_file.read_text(encoding="utf-8").split()]
    images = sum(1 for file in (job.images / "train").rglob("*") if file.is_file())
    # Steps that are recorded are taken both ways before the first.
    before = len(moments) - job.epochs * math.ceil(images / job.batch_size)
    moments = moments[max(0, before) :]
    if len(moments) % job.epochs or len(moments) < 2 * job.epochs:
        raise ProgramError(f"{len(moments)} steps do not make {job.epochs} equal epochs.")
    rate = images_per_second(moments, job.epochs, job.batch_size)
    return Measured(contender, rate, moments[-1] - moments[0], done.memory_gb)


def images_per_second(moments: Sequence[float], epochs: int, batch_size: int) -> float:
    """Return the rate of the fastest epoch after the first, from the end times of steps."""
    steps = len(moments) // epochs
    seconds = [
        moments[first + steps - 1] - moments[first] for first in range(steps, len(moments), steps)
    ]
    return (steps - 1) * batch_size / min(seconds)


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings))
    except ProgramError as error:
        sys.exit(str(error))
