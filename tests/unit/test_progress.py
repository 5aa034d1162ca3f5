"""What a terminal shows, and that nothing else is written to."""

from __future__ import annotations

import io
import sys

import pytest
import torch

from trainer import progress
from trainer.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LOOKS", 0)


def _written(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, shown: bool = True) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressBar("epoch 2/3", 10, done=4, shown=shown, validated=0.9) as bar:
        bar.advance(4, torch.tensor([2.0, 3.0, 4.0]))
    return stream.getvalue()


def test_terminal_shows_speed_time_left_loss_and_accuracies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = _written(Terminal(), monkeypatch).rstrip("\r ").rpartition("\r")[2]
    assert last.startswith("epoch 2/3 |")
    assert " images/s, 00:" in last
    assert last.endswith("left, loss 0.500, acc 75.0 %, val 90.0 %")


def test_nothing_is_shown_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _written(io.StringIO(), monkeypatch) == ""
    assert _written(Terminal(), monkeypatch, shown=False) == ""
