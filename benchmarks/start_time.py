"""Seconds until help, a mistake in a path, and a run that is imported.

`python -m benchmarks.start_time` prints them.

Each row is a new process, started several times; files are in the system's cache from the first.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.measurement import Measurement, number_column, text_column
from benchmarks.program import ROOT, ProgramError

NOWHERE = "no_such_folder"
# What is started, its words after Python, and its exit code.
STARTED: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("`train.py --help`", ("trainer/train.py", "--help"), 0),
    ("`predict.py --help`", ("trainer/predict.py", "--help"), 0),
    ("`train.py`, folder missing", ("trainer/train.py", "--data-dir", NOWHERE), 2),
    ("`import trainer.run`", ("-c", "import trainer.run"), 0),
)


@dataclass(frozen=True)
class Settings:
    """Seconds until help, a mistake in a path, and the imports of a run."""

    starts: int = 5
    """Starts of each; the table shows their median. One more goes before them."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print a row for each start.

    Raises:
        ProgramError: one ends with another exit code.
    """
    measurement = Measurement(
        [
            text_column("Start"),
            number_column("Median", "{:.2f} s"),
            number_column("Lowest–highest", "{:.2f}–{:.2f} s"),
        ],
        f"median of {settings.starts} starts, from the command to its end",
    )
    for name, words, code in STARTED:
        seconds = [_seconds(words, code) for _ in range(settings.starts + 1)][1:]
        measurement.add(name, statistics.median(seconds), (min(seconds), max(seconds)))
    measurement.write(settings.json)


def _seconds(words: Sequence[str], code: int) -> float:
    script, *rest = words
    command = [sys.executable, str(ROOT / script) if script.endswith(".py") else script, *rest]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run(
            command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - start
    if done.returncode != code:
        raise ProgramError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return seconds


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings))
    except ProgramError as error:
        sys.exit(str(error))
