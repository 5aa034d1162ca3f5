"""Work done ahead: in order, on all cores, not too far, and with one thread of PyTorch each."""

from __future__ import annotations

import itertools
import threading

import pytest
import torch

from trainer.inputs import ahead
from trainer.inputs.ahead import MOST_AHEAD, done_ahead


def test_results_come_in_order_and_several_are_worked_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ahead, "core_count", lambda: 3)
    together = threading.Barrier(3, timeout=60)

    def work(number: int) -> int:
        # Passes only while three are worked on.
        together.wait()
        return number**2

    assert list(done_ahead(work, range(12))) == [number**2 for number in range(12)]
    assert list(done_ahead(work, [])) == []


def test_no_more_is_taken_than_stays_in_memory() -> None:
    taken = itertools.count()
    results = done_ahead(lambda number: number, (next(taken) for _ in range(1000)))
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert next(taken) == MOST_AHEAD + 4


def test_an_error_reaches_the_caller() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("the fourth")
        return number

    results = done_ahead(work, range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(results)


def test_pytorch_has_one_thread_there_and_as_many_as_before_here() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        counts = list(done_ahead(lambda _: torch.get_num_threads(), range(20)))
        here = torch.get_num_threads()
        later: list[int] = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
    finally:
        torch.set_num_threads(before)
    assert set(counts) == {1}
    assert (here, later) == (3, [3])
