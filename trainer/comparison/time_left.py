"""Time left of a whole comparison."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from trainer.monitoring.progress import duration


class TimeLeft:
    """An estimate from the networks that were trained, in proportion to their arithmetic.

    Args:
        operations: of one forward pass of each network that is still to be trained.
        clock: returns seconds.
    """

    def __init__(
        self, operations: Mapping[str, int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.waiting = dict(operations)
        self.done = 0
        self.clock = clock
        self.start = clock()

    def end(self, name: str) -> None:
        """Record that a network is done, or has failed."""
        self.done += self.waiting.pop(name, 0)

    @property
    def seconds(self) -> float | None:
        """Seconds left; None before the first network is done."""
        if not self.done:
            return None
        return (self.clock() - self.start) / self.done * sum(self.waiting.values())

    def __str__(self) -> str:
        seconds = self.seconds
        return "" if seconds is None else f", about {duration(seconds)} left of the comparison"
