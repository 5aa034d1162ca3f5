"""Train in another process that can be killed, and compare the weights of two runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Protocol

import torch
from safetensors.torch import load_file

from trainer.monitoring.epoch_log import METRICS

TRAIN = Path(__file__).parents[1] / "trainer" / "train.py"
FLAGS = (
    "--model test_efficientnet --no-pretrained --image-size 32 --batch-size 4 --lr 1e-3 "
    "--schedule cosine --ema-decay 0.9 --validation-fraction 0.25 --mixed-precision no "
    # Most kills should interrupt the training itself.
    "--reference-images 0 --robustness-images 0"
)

LONGEST_RUN_S = 3600


def command(data_dir: Path, run_dir: Path, *, epochs: int = 6) -> list[str]:
    """Return the script and its arguments that start a training, or resume it."""
    flags = ["--data-dir", str(data_dir), "--epochs", str(epochs), *FLAGS.split()]
    if (run_dir / "config.json").exists():
        flags = ["--resume"]
    return [str(TRAIN), "--run-dir", str(run_dir), *flags]


def start(data_dir: Path, run_dir: Path, *, epochs: int = 6) -> subprocess.Popen[str]:
    """Start or resume a training."""
    return subprocess.Popen(
        [sys.executable, *command(data_dir, run_dir, epochs=epochs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # More threads would wait for each other: the network is tiny.
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


class Process(Protocol):
    """What is needed of a running training."""

    @property
    def stderr(self) -> IO[str] | None:
        """Its messages."""


class RunError(Exception):
    """A run did not end as it should; the message holds its output or the file that differs."""


def wait_until_said(process: Process, words: str) -> None:
    """Read the messages of a training until one contains these words.

    Raises:
        RunError: it ended before.
    """
    if process.stderr is None or not any(words in line for line in process.stderr):
        raise RunError(f"The training ended without the message {words!r}.")


def start_and_kill(data_dir: Path, run_dir: Path, seconds: float, *, epochs: int = 6) -> bool:
    """Start or resume a training and kill it some seconds after its first message.

    Returns:
        whether it was still running.

    Raises:
        RunError: it failed by itself.
    """
    process = start(data_dir, run_dir, epochs=epochs)
    # Loading torch takes longest; the training begins with the first printed line.
    wait_until_said(process, "")
    time.sleep(seconds)
    process.kill()
    _, errors = process.communicate(timeout=60)
    if process.returncode not in {0, -signal.SIGKILL}:
        raise RunError(errors)
    return process.returncode != 0


def finish(data_dir: Path, run_dir: Path, *, epochs: int = 6) -> float:
    """Train, or resume, to the end; return the seconds since the first message.

    Raises:
        RunError: it failed.
    """
    process = start(data_dir, run_dir, epochs=epochs)
    wait_until_said(process, "")
    start_s = time.monotonic()
    _, errors = process.communicate(timeout=LONGEST_RUN_S)
    if process.returncode != 0:
        raise RunError(errors)
    return time.monotonic() - start_s


def finished_epochs(run_dir: Path) -> int:
    """Return the number of epochs in the log of a run."""
    log = run_dir / METRICS
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def assert_same_weights(run_dir: Path, whole: Path) -> None:
    """Compare last, best and published weights of two runs, bit for bit.

    Raises:
        RunError: a weight differs.
    """
    for name in ("last.safetensors", "best.safetensors", "published/model.safetensors"):
        expected, found = load_file(whole / name), load_file(run_dir / name)
        if expected.keys() != found.keys() or any(
            not torch.equal(expected[key], found[key]) for key in expected
        ):
            raise RunError(f"{run_dir / name} differs from the weights of {whole}.")
