"""The number of threads follows the cores that are free, by a clock of the tests."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.monitoring import busy_cores
from trainer.monitoring.busy_cores import WINDOW_S, CoreUse, FreeCores, ThreadLimit, read_core_use


def _followed(most: int, cores: int, taken: list[float]) -> list[int]:
    """Return the number of threads after each window in which others took so many cores."""
    free, now_s, all_s, own_s = FreeCores(most, cores), 100.0, 7.0, 5.0
    assert free.due(now_s)
    assert not free.update(CoreUse(now_s, all_s, own_s))
    threads = []
    for others in taken:
        assert not free.due(now_s + 0.99 * WINDOW_S)
        now_s += WINDOW_S
        own_s += WINDOW_S * min(free.threads, cores - others)
        all_s += WINDOW_S * (others + min(free.threads, cores - others))
        assert free.due(now_s)
        before = free.threads
        assert free.update(CoreUse(now_s, all_s, own_s)) == (free.threads != before)
        threads.append(free.threads)
    return threads


def test_a_taken_core_lowers_the_threads_until_it_is_free_again() -> None:
    taken = [0.0, 0.7, 0.7, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.0]
    assert _followed(2, 2, taken) == [2, 2, 1, 1, 1, 1, 1, 1, 2, 2]


def test_a_short_disturbance_changes_nothing() -> None:
    assert _followed(2, 2, [1.0, 0.0, 1.0, 0.0, 1.0, 0.3]) == [2] * 6


def test_idle_cores_beside_the_threads_are_used_first() -> None:
    # Four threads, one a physical core, on eight logical ones.
    assert _followed(4, 8, [3.0] * 4) == [4] * 4
    assert _followed(4, 8, [5.0] * 3)[-1] == 3


def test_one_taken_core_of_many_costs_one_thread() -> None:
    assert _followed(16, 16, [1.0] * 3) == [16, 15, 15]


@given(
    most=st.integers(2, 64),
    spare=st.integers(0, 64),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=30),
)
def test_threads_stay_between_half_and_all(most: int, spare: int, shares: list[float]) -> None:
    cores = most + spare
    for threads in _followed(most, cores, [share * cores for share in shares]):
        assert most / 2 <= threads <= most


def test_the_clocks_of_this_process_and_of_all_cores_run() -> None:
    before = read_core_use()
    spent = os.times()
    while sum(os.times()[:2]) - sum(spent[:2]) < 0.05:
        pass
    after = read_core_use()
    assert after.now_s > before.now_s
    # The clock ticks every 10 ms.
    assert after.own_s >= before.own_s + 0.04
    assert after.all_s >= before.all_s


def test_programs_of_low_priority_take_cores_too(monkeypatch: pytest.MonkeyPatch) -> None:
    times = SimpleNamespace(user=1.0, system=2.0, nice=4.0, idle=8.0)
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [times])
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda self: [0], raising=False)
    assert read_core_use().all_s == 7


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two threads on two cores, one of which another program takes; return the numbers set."""
    numbers: list[int] = []
    times = iter(range(1, 1000))

    def one_taken() -> CoreUse:
        now_s = WINDOW_S * next(times)
        return CoreUse(now_s, all_s=2 * now_s, own_s=now_s)

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    monkeypatch.setattr(busy_cores, "core_count", lambda: 2)
    monkeypatch.setattr(busy_cores, "read_core_use", one_taken)
    monkeypatch.setattr(ThreadLimit, "reported", False)
    return numbers


def _accelerator(device: str = "cpu", processes: int = 1) -> Any:
    return SimpleNamespace(device=torch.device(device), num_processes=processes)


def test_training_beside_a_program_is_reported_once_and_ends_with_all_threads(
    two_threads: list[int],
) -> None:
    warnings = []
    for _ in range(2):
        limit = ThreadLimit(_accelerator())
        warnings += [limit.step(WINDOW_S * 100 * number) for number in range(1, 5)]
        limit.end()
    assert two_threads == [1, 2, 1, 2]
    [warning] = [each for each in warnings if each]
    assert warning.startswith("Other programs use 1.0 of 2 cores: until they end, 1 instead of 2")
    assert "OMP_NUM_THREADS=2 keeps" in warning


@pytest.mark.parametrize("kept", ["OMP_NUM_THREADS", "GPU", "processes", "compiled"])
def test_a_number_that_is_fixed_stays(
    kept: str, two_threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if kept == "OMP_NUM_THREADS":
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
    accelerator = _accelerator("cuda" if kept == "GPU" else "cpu", 2 if kept == "processes" else 1)
    limit = ThreadLimit(accelerator, compiled=kept == "compiled")
    assert [limit.step(WINDOW_S * 100 * number) for number in range(1, 5)] == [None] * 4
    limit.end()
    assert two_threads == []
