"""Runs that are killed and resumed repeatedly end with the weights of an uninterrupted run.

`python -m benchmarks.kill_and_resume` starts a real run, kills it with SIGKILL at a random moment,
resumes it and kills it again, until it finishes; then it starts the next run, until the given
number of kills is reached. The weights of each run (last, best, published) are compared bit for bit
with those of an uninterrupted run. Moments are uniform over the duration of the uninterrupted run,
so some kills happen while images are checked or the published folder is written.
"""

from __future__ import annotations

import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.killed_run import assert_same_weights, finish, finished_epochs, start_and_kill
from benchmarks.measurement import Measurement, number_column, text_column
from trainer.synthetic.samples import write_samples


@dataclass(frozen=True)
class Settings:
    """Runs that are killed and resumed repeatedly end with the weights of an uninterrupted run."""

    kills: int = 20
    """In total; only kills of a running process count."""
    epochs: int = 100
    """Of each run."""
    seed: int = 0
    """Of the random moments."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print the table; fail if a weight differs."""
    measurement = Measurement(
        [
            number_column("Run", "{}"),
            number_column("Kills", "{}"),
            text_column("Finished epochs at each"),
            text_column("Weights"),
        ],
        f"runs of {settings.epochs} epochs",
    )
    chance = random.Random(settings.seed)  # noqa: S311 -- moments need not be secret
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data_dir, whole = folder / "strips", folder / "whole"
        write_samples(data_dir, train_per_class=8, test_per_class=2)
        seconds = finish(data_dir, whole, epochs=settings.epochs)
        killed = number = 0
        while killed < settings.kills:
            number += 1
            run_dir, epochs = folder / f"run-{number}", []
            while killed < settings.kills:
                print(f"run {number}, kill {killed + 1} of {settings.kills} …", file=sys.stderr)
                moment = chance.uniform(0, seconds)
                if not start_and_kill(data_dir, run_dir, moment, epochs=settings.epochs):
                    break
                killed += 1
                epochs.append(str(finished_epochs(run_dir)))
            finish(data_dir, run_dir, epochs=settings.epochs)
            assert_same_weights(run_dir, whole)
            measurement.add(number, len(epochs), ", ".join(epochs), "equal")
    measurement.write(settings.json)


if __name__ == "__main__":
    main(tyro.cli(Settings))
