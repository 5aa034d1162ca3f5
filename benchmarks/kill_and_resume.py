"""Training that is killed again and again ends with the weights of an undisturbed run.

`python -m benchmarks.kill_and_resume` kills one run after another by SIGKILL at random moments,
lets each go on to its end, and compares all weights bit for bit.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from tests.killed_run import assert_same_weights, start, start_and_kill
from trainer import machine
from trainer.drawn_samples import write_samples
from trainer.history import METRICS


@dataclass(frozen=True)
class Settings:
    """Training that is killed again and again ends with the weights of an undisturbed run."""

    kills: int = 20
    """In all."""
    kills_per_run: int = 4
    """Before a run is let go on to its end."""
    epochs: int = 60
    """Of each run."""
    seed: int = 0
    """Of the moments."""


def main(settings: Settings) -> None:
    """Print the table; a weight that differs ends it with an error."""
    print(
        f"{machine.processor_name()}, {machine.core_count()} cores, {time.strftime('%d %B %Y')}\n"
    )
    print("| run | killed | after epochs | weights |")
    print("| --: | --: | --- | --- |", flush=True)
    chance = random.Random(settings.seed)  # noqa: S311 -- moments need not be secret
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data_dir, whole = folder / "strips", folder / "whole"
        write_samples(data_dir, train_per_class=8, test_per_class=2)
        finish(data_dir, whole, settings.epochs)
        log = (whole / METRICS).read_text(encoding="utf-8").splitlines()
        seconds = sum(json.loads(line)["seconds"] for line in log)
        for number in range(1, 1 + settings.kills // settings.kills_per_run):
            run_dir, at_work = folder / f"run-{number}", 0
            moments: list[str] = []
            for _ in range(settings.kills_per_run):
                print(f"run {number}, kill {len(moments) + 1} …", file=sys.stderr)
                moment = chance.uniform(0, 2 * seconds / settings.kills_per_run)
                at_work += start_and_kill(data_dir, run_dir, moment, epochs=settings.epochs)
                moments.append(str(finished_epochs(run_dir)))
            finish(data_dir, run_dir, settings.epochs)
            assert_same_weights(run_dir, whole)
            print(f"| {number} | {at_work} × | {', '.join(moments)} | equal |", flush=True)


def finish(data_dir: Path, run_dir: Path, epochs: int) -> None:
    """Train, or go on, to the end.

    Raises:
        SystemExit: training failed; what it said is printed.
    """
    process = start(data_dir, run_dir, epochs=epochs)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(errors)


def finished_epochs(run_dir: Path) -> int:
    """Return how many epochs the log of a run holds."""
    log = run_dir / METRICS
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


if __name__ == "__main__":
    main(tyro.cli(Settings))
