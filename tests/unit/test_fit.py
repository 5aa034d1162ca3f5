"""Rules of the epoch loop: which epoch is kept, when it stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator

from trainer.config import RecipeConfig, TrainConfig
from trainer.fit import EpochResult, Fitting


def _fitting(*results: tuple[float, float], **recipe: Any) -> Fitting:
    """Return a training that has seen these (validation accuracy, loss), without a model."""
    fitting = object.__new__(Fitting)
    fitting.config = TrainConfig(recipe=RecipeConfig(**recipe))
    fitting.accelerator = Accelerator(cpu=True)
    fitting.run_dir = Path("unused")
    fitting.epochs = [
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
    return fitting


@pytest.mark.parametrize(
    ("results", "best"),
    [
        ([(0.5, 1.0), (0.9, 2.0), (0.8, 0.1)], 2),  # accuracy before loss
        ([(0.9, 2.0), (0.9, 1.0), (0.9, 1.5)], 2),  # among equals, the lowest loss
        ([(0.9, 1.0), (0.9, 1.0), (0.5, 1.0)], 1),  # full ties: the first
    ],
)
def test_best_epoch(results: list[tuple[float, float]], best: int) -> None:
    assert _fitting(*results).best.epoch == best


def test_early_stopping_counts_from_the_best_epoch() -> None:
    results = [(0.5, 1.0), (0.6, 1.0), (0.6, 1.1), (0.5, 1.0)]
    stopped = [_fitting(*results[:n], early_stopping=2).stopped_early for n in range(5)]
    assert stopped == [False, False, False, False, True]
    assert not _fitting(*results, early_stopping=0).stopped_early
