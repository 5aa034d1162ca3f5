"""Training images per second with several processes: `python -m benchmarks.scaling`.

Each process trains on a GPU of its own; without CUDA, processes share the cores and talk by gloo.
The batch of each process stays the same, so that twice the processes have twice the work in a
step. The clock is that of `benchmarks.training_speed`: optimizer steps of the first process, of the
fastest epoch after the first.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from benchmarks.measurement import Measurement, number_column, times_column
from benchmarks.program import ROOT, ProgramError, run
from benchmarks.training_speed import CLOCK, images_per_second
from trainer.runtime import system
from trainer.synthetic.samples import CLASSES, write_samples

TEST_PER_CLASS = 4


@dataclass(frozen=True)
class Settings:
    """Training images per second with several processes."""

    processes: tuple[int, ...] = (1, 2)
    """Numbers of processes to compare; the first is the reference."""
    model: str = "convnext_atto"
    """timm's name."""
    batch_size: int = 16
    """Images in a step of each process."""
    image_size: int = 224
    """Side in pixels."""
    steps: int = 10
    """Steps in an epoch."""
    epochs: int = 3
    """The first warms up."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print a row for each number of processes.

    Raises:
        ProgramError: there are fewer GPUs, or a training fails.
    """
    gpus = torch.cuda.device_count()
    if gpus and max(settings.processes) > gpus:
        raise ProgramError(
            f"{max(settings.processes)} processes need as many GPUs; this machine has {gpus}. "
            "Name smaller numbers by --processes."
        )
    threads = {count: max(1, system.core_count() // count) for count in settings.processes}
    measurement = Measurement(
        [
            number_column("Processes", "{}"),
            number_column("Threads of each", "{}"),
            number_column("Images in a step", "{}"),
            number_column("Images a second", "{:.1f}"),
            times_column("Times the first row"),
            number_column("Efficiency", "{:.0f} %"),
        ],
        f"{settings.model} at {settings.image_size} px, batches of {settings.batch_size} in each "
        f"process; {'NCCL, a GPU each' if gpus else 'gloo, on shared cores'}",
    )
    first: tuple[int, float] | None = None
    for count in settings.processes:
        print(f"{count} processes …", file=sys.stderr)
        rate = _rate(settings, count, threads[count])
        first = first or (count, rate)
        times = rate / first[1]
        measurement.add(
            count,
            threads[count],
            count * settings.batch_size,
            rate,
            times,
            100 * times * first[0] / count,
        )
    measurement.write(settings.json)


def _rate(settings: Settings, processes: int, threads: int) -> float:
    """Train in so many processes; return images per second of all together."""
    batch_size = processes * settings.batch_size
    with tempfile.TemporaryDirectory() as temporary:
        images, run_dir = Path(temporary) / "images", Path(temporary) / "run"
        # A tenth of the training images is for validation.
        train = -(-settings.steps * batch_size * 10 // 9)
        write_samples(
            images,
            train_per_class=-(-train // len(CLASSES)),
            test_per_class=TEST_PER_CLASS,
        )
        times_file = Path(temporary) / "steps.txt"
        run(
            [
                # What `accelerate launch` calls for GPUs; for processors it would need MPI.
                *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
                *("--nproc-per-node", str(processes), CLOCK, times_file),
                *(ROOT / "trainer" / "train.py", "--data-dir", images, "--run-dir", run_dir),
                *("--model", settings.model, "--no-pretrained"),
                *("--image-size", str(settings.image_size), "--batch-size", str(batch_size)),
                *("--epochs", str(settings.epochs), "--warmup-epochs", "0"),
                *("--reference-images", "0", "--robustness-images", "0"),
            ],
            Path(temporary),
            OMP_NUM_THREADS=str(threads),
            ACCELERATE_USE_CPU=str(not torch.cuda.is_available()).lower(),
        )
        moments = [float(line) for line in times_file.read_text(encoding="utf-8").split()]
    # On a GPU, steps that are recorded are taken both ways before the first.
    extra = len(moments) % settings.epochs
    return images_per_second(moments[extra:], settings.epochs, batch_size)


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings))
    except ProgramError as error:
        sys.exit(str(error))
