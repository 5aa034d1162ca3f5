"""Signals that stop a run: Ctrl-C, SIGTERM (docker stop, Slurm), SIGHUP (a closed terminal)."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

logger = logging.getLogger(__name__)

STDERR = 2
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
    """Raise `Stopped` when a stop signal arrives inside a `with` block.

    Python raises an exception for Ctrl-C alone; the other signals would end the process at once.
    A process that is already stopping ignores further signals except Ctrl-C: torchrun sends SIGTERM
    to all processes of a run as soon as the first one has ended.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT or not isinstance(sys.exc_info()[1], Stopped):
            raise Stopped(number)

    with _handled_by(stop):
        yield


def leave_to_parent(_worker: int) -> None:
    """Ignore stop signals in a data loading process; the training ends it with SIGTERM.

    Terminals, torchrun and `timeout` signal the whole process group. A loader that a signal kills
    would end the training before the checkpoint is written.
    """
    # Windows has no process groups.
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    for number in STOP_SIGNALS:
        signal.signal(number, _end_quietly if number == signal.SIGTERM else signal.SIG_IGN)


def _end_quietly(number: int, frame: FrameType | None) -> None:
    # Slurm signals each process separately. Exit code 0 is no error for the training, which already
    # has the batches of the current step.
    os._exit(0)


class StopRequest:
    """A stop signal as a request that the training loop grants after the current step.

    Args:
        agree: if several processes train together, a function that returns the maximum of its
            argument over all processes. They must stop after the same step, and a signal may reach
            only one of them.

    Attributes:
        number: of the signal that arrived; None before.
    """

    def __init__(self, agree: Callable[[int], int] | None = None) -> None:
        self.number: int | None = None
        self._agree = agree

    def asked(self) -> bool:
        """Return whether a signal arrived at this process or at one that trains with it.

        All processes must call this the same number of times.
        """
        if self._agree is None:
            return self.number is not None
        agreed = self._agree(self.number or 0)
        if agreed:
            self._note(agreed)
            self.number = agreed
        # A signal that arrives after the exchange counts in the next call.
        return agreed > 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Record stop signals inside a `with` block.

        If a process trains alone, a second Ctrl-C raises `Stopped` at once. Other signals are often
        sent twice: by a terminal that closes, service managers, `timeout`, and by Slurm to
        torchrun, which forwards it, and to the processes that torchrun started.

        Raises:
            Stopped: a signal arrived after the last call of `asked`.
        """
        with _handled_by(self._handle):
            yield
        self.grant()

    def grant(self) -> None:
        """Raise `Stopped` if a signal arrived."""
        if self.number is not None:
            raise Stopped(self.number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self._note(number)
        elif number == signal.SIGINT and self._agree is None:
            raise Stopped(number)

    def _note(self, number: int) -> None:
        if self.number is not None:
            return
        self.number = number
        if self._agree is None:
            words = "Stopping after this step. Ctrl-C again stops at once and loses the epoch."
        else:
            words = "Stopping all processes after this step."
        _say(words)


def _say(words: str) -> None:
    """Print a warning from where a signal may have interrupted the printing of another.

    A stream with a buffer refuses a second writer, so `logging` would print a traceback instead.
    """
    # Under `accelerate launch` only the first process prints.
    if logger.isEnabledFor(logging.WARNING):
        # The terminal may be closed.
        with suppress(OSError):
            os.write(STDERR, f"\n{words}\n".encode())


@contextmanager
def stop_signals_noted(wake: Callable[[], None]) -> Iterator[threading.Event]:
    """Yield an event that a stop signal sets; a second Ctrl-C raises `Stopped`.

    Args:
        wake: ends a wait of the main thread, which would delay the stop.
    """
    stop = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise Stopped(number)
        stop.set()
        wake()

    with _handled_by(note):
        yield stop


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle stop signals inside a `with` block; only the main thread can.

    An ignored signal stays ignored: `nohup` and background jobs of shells rely on it.
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
