"""Signals that stop a run: Ctrl-C, SIGTERM (docker stop, Slurm), SIGHUP (a closed terminal)."""

from __future__ import annotations

import logging
import os
import signal
import sys
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
    A process that is stopping already finishes its last words, unless Ctrl-C is pressed again:
    torchrun sends SIGTERM to all processes of a run as soon as the first one has ended.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT or not isinstance(sys.exc_info()[1], Stopped):
            raise Stopped(number)

    with _handled_by(stop):
        yield


def leave_to_parent(_worker: int) -> None:
    """Let no stop signal disturb a process that loads images; the training ends it by SIGTERM.

    Terminals, torchrun and `timeout` signal the whole process group. A loader that dies of a signal
    would take the training with it before the checkpoint is written.
    """
    # Windows has no process groups.
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    for number in STOP_SIGNALS:
        signal.signal(number, _end_quietly if number == signal.SIGTERM else signal.SIG_IGN)


def _end_quietly(number: int, frame: FrameType | None) -> None:
    # Slurm signals each process by itself. Exit code 0 is no error for the training, which has the
    # batches of the step already.
    os._exit(0)


class StopRequest:
    """A stop signal as a request that the training loop grants after the current step.

    Args:
        agree: where several processes train together, returns to all of them the highest of the
            numbers with which they call it. They must stop after the same step, and a signal may
            reach only one of them.

    Attributes:
        number: of the signal that arrived; None if there was none.
    """

    def __init__(self, agree: Callable[[int], int] | None = None) -> None:
        self.number: int | None = None
        self._agree = agree

    def asked(self) -> bool:
        """Return whether a signal arrived, here or at a process that trains with this one.

        All processes must call this the same number of times.
        """
        if self._agree is None:
            return self.number is not None
        agreed = self._agree(self.number or 0)
        if agreed:
            self._note(agreed)
            self.number = agreed
        # A signal that arrived after the others were asked counts the next time.
        return agreed > 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note stop signals inside a `with` block.

        Where a process trains alone, a second Ctrl-C raises `Stopped` at once. Other signals are
        often sent twice: by a terminal that closes, by service managers, `timeout`, and by Slurm
        to torchrun, which passes it on, and to the processes that torchrun started.

        Raises:
            Stopped: a signal arrived after the last call of `asked`.
        """
        with _handled_by(self._handle):
            yield
        self.grant()

    def grant(self) -> None:
        """Raise `Stopped` for the signal that arrived, if there was one."""
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
        logger.warning("\n%s", words)


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
