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
        self._reasons: set[str] = set()
        self._failures = 0

    def failed(self, reason: str) -> float:
        """Report a reason the first time; return the seconds to wait before the next attempt."""
        if self._began is None:
            self._began = time.monotonic()
        if reason not in self._reasons:
            self._reasons.add(reason)
            logger.warning("%s: %s. Rows wait in the journal; trying again.", self.receiver, reason)
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        # Many senders should not return at the same moment.
        return wait_s * random.uniform(0.8, 1.2)  # noqa: S311 -- not a secret

    def ended(self) -> None:
        """Report that the receiver is back, if it was away."""
        if self._began is not None:
            away = duration(time.monotonic() - self._began)
            logger.warning("%s answers again, after %s.", self.receiver, away)
        self._began, self._failures = None, 0
        self._reasons.clear()
