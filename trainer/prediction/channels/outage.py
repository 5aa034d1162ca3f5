"""Receivers that can't be reached: reported once, and again when they are back."""

from __future__ import annotations

import logging
import random
import time

from trainer.monitoring.progress import duration

logger = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0


class Outage:
    """The time in which a receiver gets no rows.

    Args:
        receiver: its name in messages, without secrets.
    """

    def __init__(self, receiver: str) -> None:
        self.receiver = receiver
        self._began: float | None = None
        self._reported: set[str] = set()
        self._failures = 0

    @property
    def lasts(self) -> bool:
        """Whether the receiver is away."""
        return self._began is not None

    def failed(self, reason: str, *, refused: bool = False) -> float:
        """Report a failure; return the seconds to wait before the next attempt.

        Args:
            reason: for it.
            refused: whether the receiver answered. Each such reason is reported once in an outage;
                of the others only the first, as they are symptoms of one problem.
        """
        if self._began is None:
            self._began = time.monotonic()
        kind = reason if refused else ""
        if kind not in self._reported:
            self._reported.add(kind)
            logger.warning("%s: %s. Rows wait in the journal.", self.receiver, reason)
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        # Many senders should not return at the same moment.
        return wait_s * random.uniform(0.8, 1.2)  # noqa: S311 -- not a secret

    def ended(self) -> None:
        """Report that the receiver is back, if it was away."""
        if self._began is not None:
            away = duration(time.monotonic() - self._began)
            logger.warning("%s takes rows again, after %s.", self.receiver, away)
        self._began, self._failures = None, 0
        self._reported.clear()
