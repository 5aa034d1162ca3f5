"""Training that is killed again and again ends with the weights of an undisturbed run.

`python -m benchmarks.kill_and_resume` starts a real run, kills it by SIGKILL at a random moment,
goes on with it, kills it again, until it comes to its end; then the next run, until so many kills
have struck. Each run's weights (last, best, published) are compared bit for bit with those of a run
that nobody disturbed. A moment lies anywhere between a command's first words and the time that the
undisturbed run took, so that some strike while it looks at the images or writes what it publishes.
"""

from __future__ import annotations

import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.table import head, heading, row
from tests.killed_run import assert_same_weights, finish, finished_epochs, start_and_kill
from trainer.synthetic.samples import write_samples


@dataclass(frozen=True)
class Settings:
    """Training that is killed again and again ends with the weights of an undisturbed run."""

    kills: int = 20
    """That struck a run at work, in all."""
    epochs: int = 100
    """Of each run."""
    seed: int = 0
    """Of the moments."""


def main(settings: Settings) -> None:
    """Print the table; a weight that differs ends it with an error."""
    print(heading(f"runs of {settings.epochs} epochs"))
    print(head("run", "kills", "finished epochs at each", "weights"), flush=True)
    chance = random.Random(settings.seed)  # noqa: S311 -- moments need not be secret
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data_dir, whole = folder / "strips", folder / "whole"
        write_samples(data_dir, train_per_class=8, test_per_class=2)
        seconds = finish(data_dir, whole, epochs=settings.epochs)
        struck = number = 0
        while struck < settings.kills:
            number += 1
            run_dir, epochs = folder / f"run-{number}", []
            while struck < settings.kills:
                print(f"run {number}, kill {struck + 1} of {settings.kills} …", file=sys.stderr)
                moment = chance.uniform(0, seconds)
                if not start_and_kill(data_dir, run_dir, moment, epochs=settings.epochs):
                    break
                struck += 1
                epochs.append(str(finished_epochs(run_dir)))
            finish(data_dir, run_dir, epochs=settings.epochs)
            assert_same_weights(run_dir, whole)
            print(row(str(number), str(len(epochs)), ", ".join(epochs), "equal"), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Settings))
