"""What a terminal shows of the training loop, within 80 columns; elsewhere there are no bars."""

from __future__ import annotations

import ast
import io
import re
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import trainer
from trainer.monitoring import progress
from trainer.monitoring.epoch_log import EpochResult
from trainer.monitoring.progress import LEGEND, ProgressBar, duration, epoch_line, epoch_title

SEVENTH = EpochResult(
    epoch=7,
    lr=1e-3,
    train_loss=1.034,
    train_accuracy=0.62,
    validation_loss=0.838,
    validation_accuracy=0.675,
    seconds=3.2,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LOOKS", 0)


def _written(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, shown: bool = True) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "80")
    with ProgressBar(epoch_title(2, 30), 10, done=4, shown=shown) as bar:
        bar.advance(4, torch.tensor([2.0, 3.0, 4.0]), 80.4)
    return stream.getvalue()


def test_the_bar_shows_speed_time_left_of_epoch_and_run_loss_and_accuracy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = _written(Terminal(), monkeypatch).rstrip("\r ").rpartition("\r")[2]
    assert re.match(r"epoch  2/30 \|.*\| +\d+\.\d\d img/s 00:00, run 1:20 left", last)
    assert last.endswith(", loss 0.50 acc 75.0 %")


def test_there_is_no_bar_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _written(io.StringIO(), monkeypatch) == ""
    assert _written(Terminal(), monkeypatch, shown=False) == ""


def test_the_line_of_an_epoch() -> None:
    line = epoch_line(SEVENTH, 25, best=True, images_per_second=240.3, run_s=80)
    assert line == (
        "epoch  7/25  loss 1.03 → 0.84  acc 62.0 → 67.5 % ★     3 s   240/s    1:20 left"
    )
    worse = replace(SEVENTH, epoch=12, train_accuracy=1.0, validation_accuracy=0.0, seconds=75)
    line = epoch_line(worse, 25, best=False, images_per_second=0.93, run_s=7500)
    assert line == (
        "epoch 12/25  loss 1.03 → 0.84  acc  100 →    0 %      1:15   0.9/s  2 h 05 left"
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (754, "12:34"),
        (3599.7, "1 h 00"),
        (3900, "1 h 05"),
        (35_999, "9 h 59"),
        (43_200, "12 h"),
        (400_000, "4 d"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


losses = st.floats(0, 1e300)
shares = st.floats(0, 1)
times = st.floats(0, 1e12)


def _columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@given(
    epochs=st.integers(1, 999_999),
    data=st.data(),
    losses=st.tuples(losses, losses),
    accuracies=st.tuples(shares, shares),
    seconds=times,
    best=st.booleans(),
    images_per_second=st.floats(1e-9, 1e8),
    run_s=times,
)
def test_every_line_fits_and_the_lines_of_a_training_are_aligned(
    epochs: int,
    data: st.DataObject,
    losses: tuple[float, float],
    accuracies: tuple[float, float],
    seconds: float,
    best: bool,
    images_per_second: float,
    run_s: float,
) -> None:
    result = EpochResult(
        epoch=data.draw(st.integers(1, epochs)),
        lr=1e-3,
        train_loss=losses[0],
        train_accuracy=accuracies[0],
        validation_loss=losses[1],
        validation_accuracy=accuracies[1],
        seconds=seconds,
    )
    line = epoch_line(result, epochs, best=best, images_per_second=images_per_second, run_s=run_s)
    usual = epoch_line(
        replace(SEVENTH, epoch=1), epochs, best=False, images_per_second=240, run_s=80
    )
    assert _columns(line) == _columns(usual) <= 80
    assert [line.index(word) for word in ("loss", "acc", "/s", "left")] == [
        usual.index(word) for word in ("loss", "acc", "/s", "left")
    ]


def test_the_legend_fits() -> None:
    assert len(LEGEND) <= 80


@pytest.mark.slow
def test_every_bar_of_the_trainer_leaves_the_terminal_and_stays_out_of_log_files() -> None:
    bars = [
        (file.name, {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords})
        for file in Path(trainer.__path__[0]).rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "tqdm"
    ]
    assert len(bars) > 5
    for file, settings in bars:
        assert (settings["leave"], settings["disable"]) == ("False", "None"), file
