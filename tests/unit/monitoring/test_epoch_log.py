"""Which epoch is the best, and when there is no progress any more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer.monitoring.epoch_log import METRICS, EpochResult, History


def _history(*results: tuple[float, float]) -> History:
    """Return epochs with these validation accuracies and losses."""
    return History(
        [
            EpochResult(
                epoch=number,
                lr=1e-3,
                train_loss=1.0,
                train_accuracy=0.5,
                validation_loss=loss,
                validation_accuracy=accuracy,
                seconds=1.0,
            )
            for number, (accuracy, loss) in enumerate(results, 1)
        ]
    )


@pytest.mark.parametrize(
    ("results", "best"),
    [
        ([(0.5, 1.0), (0.9, 2.0), (0.8, 0.1)], 2),  # accuracy before loss
        ([(0.9, 2.0), (0.9, 1.0), (0.9, 1.5)], 2),  # among equals, the lowest loss
        ([(0.9, 1.0), (0.9, 1.0), (0.5, 1.0)], 1),  # full ties: the first
    ],
)
def test_best_epoch(results: list[tuple[float, float]], best: int) -> None:
    assert _history(*results).best.epoch == best


def test_patience_counts_from_the_best_epoch() -> None:
    results = [(0.5, 1.0), (0.6, 1.0), (0.6, 1.1), (0.5, 1.0)]
    assert [_history(*results[:n]).stalled(2) for n in range(5)] == [False] * 4 + [True]
    assert not _history(*results).stalled(0)


def test_a_line_an_epoch(tmp_path: Path) -> None:
    _history((0.5, 1.0), (0.6, 0.9)).write(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert [(line["epoch"], line["validation_loss"]) for line in lines] == [(1, 1.0), (2, 0.9)]
    assert [file.name for file in tmp_path.iterdir()] == [METRICS]
