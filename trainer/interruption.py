"""Signals that stop a run: Ctrl-C, SIGTERM (docker stop, Slurm), SIGHUP (a closed terminal)."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)

STOP_SIGNALS = tuple(
    # Windows has no SIGHUP.
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
)


class Stopped(KeyboardInterrupt):
    """A stop signal arrived; everything that handles Ctrl-C handles this too.

    Attributes:
        exit_code: 128 + the number of the signal, as shells count.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def stop_signals_raised() -> Iterator[None]:
    """Raise `Stopped` where a stop signal arrives, inside a `with` block.

    Python raises an error for Ctrl-C alone; the other signals would end the process on the spot.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    with _handled_by(stop):
        yield


class StopRequest:
    """A stop signal as a request that the training loop grants after the current step.

    Attributes:
        number: of the signal that arrived; None if there was none.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def asked(self) -> bool:
        """Whether a signal arrived."""
        return self.number is not None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note stop signals inside a `with` block; a second one raises `Stopped` at once."""
        with _handled_by(self._ask):
            yield

    def grant(self) -> None:
        """Raise `Stopped` for the signal that arrived, if there was one."""
        if self.number is not None:
            raise Stopped(self.number)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number = number
            logger.warning(
                "\nStopping after this step. Ctrl-C again stops at once and loses the epoch."
            )
        # A terminal that closes sends SIGHUP more than once, and service managers send it after
        # SIGTERM: nobody who wants to stop at once does so by SIGHUP.
        elif signal.Signals(number).name != "SIGHUP":
            raise Stopped(number)


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle stop signals inside a `with` block; only a program's main thread can.

    A signal that is ignored stays ignored: `nohup`, and shells with background jobs, rely on it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, handler)
        for number in STOP_SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
