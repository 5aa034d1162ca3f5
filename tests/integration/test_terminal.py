"""What a terminal of 80 columns shows of a training, from the first phase to the last line."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import re
import struct
import termios
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.small_run import small_config
from tests.support.warm_process import WarmProcess
from trainer import run
from trainer.cli.summary import summary
from trainer.fitting import loop, time_left
from trainer.fitting.time_left import TimeLeft
from trainer.monitoring.phases import PHASES, run_phases
from trainer.monitoring.progress import LEGEND
from trainer.monitoring.slowdown import Slowdown
from trainer.synthetic.samples import write_samples

ROOT = Path(__file__).parents[2]
COLUMNS = 80
SMALL = ("--model", "test_convnext", "--no-pretrained", "--epochs", "2", "--image-size", "32")
TESTS = ("--robustness-images", "1", "--reference-images", "0")


def _run_in_terminal(words: list[str], folder: Path) -> tuple[str, str]:
    """Return what a command writes to stdout, and to a terminal that stderr is."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    chunks: list[bytes] = []

    def read() -> None:
        # The terminal's end of file is an error on Linux.
        try:
            while chunk := os.read(ours, 65_536):
                chunks.append(chunk)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    process = WarmProcess(words, folder, terminal=Path(os.ttyname(theirs)))
    output, _ = process.communicate()
    os.close(theirs)
    reader.join(30)
    os.close(ours)
    return output, b"".join(chunks).decode()


def test_a_training_in_a_terminal_of_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("COLUMNS", "LINES"):
        monkeypatch.delenv(variable, raising=False)
    write_samples(tmp_path / "steel", train_per_class=6, test_per_class=2)
    command = [str(ROOT / "trainer/train.py"), "--data-dir", "steel", "--run-dir", "run"]
    stdout, written = _run_in_terminal(
        [*command, *SMALL, *TESTS, "--cache-dir", str(tmp_path / "cache")], tmp_path
    )
    assert stdout == "run/published\n", written
    shown = [line.rstrip() for line in re.split(r"[\r\n]+|\x1b\[A", written)]
    assert max(map(len, shown)) <= COLUMNS, "or it wraps"

    phases = [line for line in shown if re.fullmatch(r"\d/\d \w+", line)]
    assert phases == ["1/5 check", "2/5 compare", "3/5 train", "4/5 test", "5/5 card"]
    assert shown[0] == phases[0], "the first words"
    bars = ("checking train:", "finding landmarks:", "decoding:", "epoch 1/2 |", "testing:")
    assert [bar for bar in bars if not any(line.startswith(bar) for line in shown)] == []
    # Those of libraries.
    assert not re.search(r"Resolving|Generating|Downloading|Map:|Casting|Flattening", written)

    [first, second] = [line for line in shown if re.match(r"epoch \d/2  loss", line)]
    assert first.index("acc") == second.index("acc")
    assert LEGEND in shown
    # The last words, each of which the report holds.
    last = summary(Path("run/published")).replace("\n", "\r\n")
    assert written.endswith(last + "\r\n")


def test_folds_are_numbered_and_count_in_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_samples(tmp_path / "steel", train_per_class=4, test_per_class=2)
    config = small_config(tmp_path / "steel", tmp_path / "run", epochs=1)
    config = replace(config, data=replace(config.data, folds=2))
    estimates: list[TimeLeft] = []

    def estimate(*numbers: Any) -> TimeLeft:
        estimates.append(TimeLeft(*numbers))
        return estimates[-1]

    monkeypatch.setattr(loop, "TimeLeft", estimate)
    # Every run is a long one.
    monkeypatch.setattr(time_left, "LONG_RUN_S", 0)
    monkeypatch.setattr(loop.TrainingLoop, "length_checked", False)
    # Every step is a slow one.
    monkeypatch.setattr(loop.TrainingLoop, "slowdown_reported", False)
    monkeypatch.setattr(Slowdown, "step", lambda *_: "Training is slow.")
    caplog.set_level(logging.INFO, "trainer")
    PHASES.plan(run_phases(config.data, config.run.run_dir))
    run.train(config)
    assert [left.work.trainings_after for left in estimates] == [1, 0]
    assert all(left.work.train_images and left.work.validation_images for left in estimates)
    phases = [message for message in caplog.messages if re.match(r"\d/9 ", message)]
    assert phases == [
        *("1/9 check", "2/9 compare"),
        *("3/9 train (fold 1 of 2)", "4/9 test (fold 1 of 2)", "5/9 card (fold 1 of 2)"),
        *("6/9 train (fold 2 of 2)", "7/9 test (fold 2 of 2)", "8/9 card (fold 2 of 2)"),
        "9/9 join",
    ]
    warnings = [message for message in caplog.messages if "on this processor" in message]
    assert caplog.messages.count("Training is slow.") == 1
    # Once for all folds; a GPU is fast enough.
    assert len(warnings) == (0 if torch.cuda.is_available() else 1)
    assert all("--tune head" in message for message in warnings)
