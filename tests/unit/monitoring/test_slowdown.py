"""The hint that training became slow, by a clock that the tests set."""

from __future__ import annotations

import pytest

from trainer.monitoring.slowdown import Slowdown


def _hints(*speeds_and_seconds: tuple[float, float], epoch_steps: int = 10**9) -> list[str]:
    """Take steps of 16 images at each speed (images/s) for so long; return the hints."""
    slowdown, now_s, hints, steps = Slowdown(), 100.0, [], 0
    for speed, seconds in speeds_and_seconds:
        end_s = now_s + seconds
        while now_s < end_s:
            if steps % epoch_steps == 0:
                # Validation takes its time.
                now_s, end_s = now_s + 50, end_s + 50
                slowdown.start_epoch()
            now_s += 16 / speed
            steps += 1
            if hint := slowdown.step(16, now_s):
                hints.append(hint)
    return hints


def test_a_collapse_is_reported_with_both_speeds_and_what_to_do() -> None:
    assert _hints((30, 60), (8, 40)) == [
        "Training is slow: 8.0 images/s, 30 before. Close other programs, or stop with Ctrl-C and "
        "resume later; the results stay the same."
    ]


def test_short_epochs_count_together() -> None:
    assert _hints((30, 60), (8, 80), epoch_steps=4)


@pytest.mark.parametrize(
    "speeds_and_seconds",
    [
        [(30, 200)],
        # Slow from the start: a slow machine.
        [(8, 500)],
        [(8, 60), (30, 60)],
        # A fair share of two cores.
        [(30, 60), (16, 300)],
        # Short, though often.
        [(30, 60), (8, 20), (30, 60), (8, 20), (30, 60)],
        # One step during which the computer slept for an hour.
        [(30, 60), (16 / 3600, 1), (30, 60)],
    ],
)
def test_nothing_else_is_reported(speeds_and_seconds: list[tuple[float, float]]) -> None:
    assert _hints(*speeds_and_seconds) == []


def test_it_is_compared_with_the_best_speed_of_the_whole_run() -> None:
    assert len(_hints((30, 60), (18, 60), (14, 40))) == 1
    assert _hints((10, 60), (30, 60), (8, 80))
