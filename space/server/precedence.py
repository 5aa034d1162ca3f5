"""Single images go first: a person waits for them, while a batch takes minutes anyway."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# A batch goes on after this, or it would never end on a busy page.
LONGEST_PAUSE_S = 1.0
# It then runs for so long: with one image after each pause, it would outlive its uploads.
RUN_S = 0.3


class Precedence:
    """Lets other work pause while single images are being answered.

    Attributes:
        pausing: number of threads that wait.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._single = 0
        self._running_until = 0.0
        self.pausing = 0

    @contextmanager
    def single(self) -> Iterator[None]:
        """Answer a single image within this block."""
        with self._changed:
            self._single += 1
        try:
            yield
        finally:
            with self._changed:
                self._single -= 1
                self._changed.notify_all()

    def pause(self) -> None:
        """Return when no single image is being answered, or after `LONGEST_PAUSE_S`.

        After such a long pause, calls return at once for `RUN_S`.
        """
        with self._changed:
            if time.monotonic() < self._running_until:
                return
            self.pausing += 1
            idle = self._changed.wait_for(lambda: self._single == 0, LONGEST_PAUSE_S)
            self.pausing -= 1
            if not idle:
                self._running_until = time.monotonic() + RUN_S
