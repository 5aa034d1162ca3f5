"""Batches of images through an engine: beside each other, and in order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from copy import copy
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from space.inference.core.arrays import Pixels
from space.inference.core.classifier import Engine, Observation
from space.inference.predictor import Predictor
from trainer.decision import outputs
from trainer.decision.outputs import BATCH_SIZE, observed_batches


class Side(Predictor):
    """Returns the first pixel of each image; runs as many batches at once as it says."""

    def __init__(self, at_once: int) -> None:
        self.engine = cast(Engine, SimpleNamespace(batches_at_once=at_once))
        self.together = threading.Barrier(at_once, timeout=60)
        self.threads: set[int] = set()

    def observe_prepared(
        self, inputs: Sequence[Pixels], engine: Engine | None = None
    ) -> Observation:
        # Passes only while as many run.
        self.together.wait()
        self.threads.add(torch.get_num_threads())
        firsts = np.array([[each.flat[0]] for each in inputs], np.float32)
        if not firsts[0, 0]:
            raise ValueError("a black image")
        return Observation(firsts, [])


def pictures(number: int) -> list[Pixels]:
    return [np.full((1, 2, 2, 3), 1 + each % 250, np.uint8) for each in range(number)]


def test_batches_run_beside_each_other_and_come_in_order() -> None:
    many = pictures(4 * BATCH_SIZE - 3)
    side = Side(2)
    found = list(observed_batches(side, iter(many)))
    assert [len(each.logits) for each in found] == [*[BATCH_SIZE] * 3, BATCH_SIZE - 3]
    values = np.concatenate([each.logits[:, 0] for each in found]).tolist()
    assert values == [each.flat[0] for each in many]
    # As many as here: those that prepare images have one.
    assert side.threads == {torch.get_num_threads()}


def test_an_engine_of_one_batch_runs_one_at_a_time() -> None:
    assert len(list(observed_batches(Side(1), iter(pictures(2 * BATCH_SIZE + 1))))) == 3


def test_an_error_of_the_engine_reaches_the_caller() -> None:
    black = [np.zeros((1, 2, 2, 3), np.uint8)]
    with pytest.raises(ValueError, match="a black image"):
        list(observed_batches(Side(1), iter(black)))


def test_the_network_runs_when_a_turn_of_images_is_prepared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two images fill a turn; while the engine waits for images, nobody should prepare some."""
    monkeypatch.setattr(outputs, "BATCH_SIZE", 2)
    monkeypatch.setattr(outputs, "TURN_BYTES", 2 * pictures(1)[0].nbytes)
    left = iter(pictures(5))
    batches = observed_batches(Side(1), left)
    seen = [(len(each.logits), len(list(copy(left)))) for each in batches]
    assert seen == [(2, 3), (2, 1), (1, 0)]


@pytest.mark.parametrize(
    ("filling", "expected"),
    [
        # Three images fill a turn; a fourth one gives both cores a whole batch.
        (3, [4, 4, 1]),
        # One fills it, as a long image of many tiles does: no four of them are held.
        (1, [2, 2, 2, 2, 1]),
    ],
)
def test_a_turn_gives_all_cores_whole_batches_within_twice_its_memory(
    filling: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "TURN_BYTES", filling * pictures(1)[0].nbytes)
    assert [len(turn) for turn in outputs._turns(pictures(9), 4)] == expected


def test_turns_are_multiples_of_what_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "BATCH_SIZE", 2)
    monkeypatch.setattr(outputs, "TURN_BYTES", 3 * pictures(1)[0].nbytes)
    found = observed_batches(Side(2), iter(pictures(8)))
    assert [len(each.logits) for each in found] == [2, 2, 2, 2]
