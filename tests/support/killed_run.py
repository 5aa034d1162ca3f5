"""Real runs in a process of their own, which can be killed, and whether that changed anything."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from trainer.monitoring.epoch_log import METRICS

TRAIN = Path(__file__).parents[2] / "trainer" / "train.py"
FLAGS = (
    "--model test_efficientnet --no-pretrained --image-size 32 --batch-size 4 --lr 1e-3 "
    "--schedule cosine --ema-decay 0.9 --validation-fraction 0.25 --mixed-precision no "
    # Most kills should strike what can be lost: the training.
    "--reference-images 0 --robustness-images 0"
)

LONGEST_RUN_S = 3600


def start(
    data_dir: Path, run_dir: Path, *, epochs: int = 6, largest_file: int = -1
) -> subprocess.Popen[str]:
    """Start training, or go on with it; `largest_file` limits what it may write, in bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    going_on = (run_dir / "config.json").exists()
    flags = ["--data-dir", str(data_dir), "--epochs", str(epochs), *FLAGS.split()]
    if going_on:
        flags = ["--resume"]
    return subprocess.Popen(
        [sys.executable, str(TRAIN), "--run-dir", str(run_dir), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # More threads would only wait for each other, on a network as small as this one.
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=limit if largest_file >= 0 else None,  # noqa: PLW1509 -- the child has one thread
    )


def wait_until_said(process: subprocess.Popen[str], words: str) -> None:
    """Read what training tells its user until these words have come."""
    assert process.stderr is not None
    assert any(words in line for line in process.stderr), f"It ended without {words!r}."


def start_and_kill(data_dir: Path, run_dir: Path, seconds: float, *, epochs: int = 6) -> bool:
    """Start training or go on with it, and kill it so long after it said its first words.

    Returns:
        whether it was still at work.
    """
    process = start(data_dir, run_dir, epochs=epochs)
    # Loading torch takes longest; what matters begins with the first line that is printed.
    wait_until_said(process, "")
    time.sleep(seconds)
    process.kill()
    _, errors = process.communicate(timeout=60)
    assert process.returncode in {0, -signal.SIGKILL}, errors
    return process.returncode != 0


def finish(data_dir: Path, run_dir: Path, *, epochs: int = 6) -> float:
    """Train, or go on, to the end; return the seconds since it said its first words."""
    process = start(data_dir, run_dir, epochs=epochs)
    wait_until_said(process, "")
    start_s = time.monotonic()
    _, errors = process.communicate(timeout=LONGEST_RUN_S)
    assert process.returncode == 0, errors
    return time.monotonic() - start_s


def finished_epochs(run_dir: Path) -> int:
    """Return how many epochs the log of a run holds."""
    log = run_dir / METRICS
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def assert_same_weights(run_dir: Path, whole: Path) -> None:
    for name in ("last.safetensors", "best.safetensors", "published/model.safetensors"):
        expected, found = load_file(whole / name), load_file(run_dir / name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), name
