"""Signals end a command as Ctrl-C does, with an exit code that says which."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from trainer.cli.command import run_command
from trainer.errors import DataError
from trainer.runtime import interruption
from trainer.runtime.interruption import STOP_SIGNALS, Stopped, StopRequest, stop_signals_raised

HANDLED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _same_handlers_afterwards() -> Iterator[None]:
    before = [signal.getsignal(number) for number in HANDLED]
    yield
    assert [signal.getsignal(number) for number in HANDLED] == before


def test_three_signals_stop_a_run() -> None:
    assert list(STOP_SIGNALS) == HANDLED


@pytest.mark.parametrize(("number", "code"), list(zip(HANDLED, [130, 143, 129], strict=True)))
def test_a_command_ends_with_the_code_of_the_signal(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    reached = []

    def command(arguments: list[str]) -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            reached.append("as for Ctrl-C")
            raise

    assert run_command(command) == code
    assert reached


@pytest.mark.parametrize("first", HANDLED)
@pytest.mark.parametrize("second", HANDLED)
def test_the_first_signal_is_noted_and_a_second_ctrl_c_stops_at_once(
    first: signal.Signals, second: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    stop, after = StopRequest(), False
    stop.grant()
    with pytest.raises(Stopped) as stopped, stop.listening():
        signal.raise_signal(first)
        assert stop.asked()
        assert capfd.readouterr().err == (
            "\nStopping after this step. Ctrl-C again stops at once and loses the epoch.\n"
        )
        signal.raise_signal(second)
        after = True
        stop.grant()
    # A terminal that closes sends SIGHUP more than once, and `timeout` SIGTERM twice.
    assert after == (second != signal.SIGINT)
    assert stopped.value.exit_code == 128 + (first if after else second)


class _Interrupted(io.RawIOBase):
    """A terminal whose writer gets a signal while it writes."""

    def writable(self) -> bool:
        return True

    def write(self, text: Any) -> int:
        signal.raise_signal(signal.SIGINT)
        return len(text)


def test_a_signal_while_a_line_is_printed_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = logging.StreamHandler(io.TextIOWrapper(io.BufferedWriter(_Interrupted())))
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    stop = StopRequest()
    with pytest.raises(Stopped), stop.listening():
        logging.getLogger("trainer").warning("epoch 1/6")
        assert stop.asked()
    assert capfd.readouterr().err == (
        "\nStopping after this step. Ctrl-C again stops at once and loses the epoch.\n"
    )


def test_a_closed_terminal_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(interruption, "STDERR", writer)
    stop = StopRequest()
    with pytest.raises(Stopped), stop.listening():
        signal.raise_signal(signal.SIGHUP)
        assert stop.asked()
    os.close(writer)


def test_a_signal_that_arrives_after_the_last_step_is_not_lost() -> None:
    with pytest.raises(Stopped) as stopped, StopRequest().listening():
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.exit_code == 143


@pytest.mark.parametrize("own", [None, *HANDLED])
@pytest.mark.parametrize("other", [0, *HANDLED])
def test_processes_stop_together_by_the_same_signal(
    own: signal.Signals | None, other: int, capfd: pytest.CaptureFixture[str]
) -> None:
    stop = StopRequest(agree=lambda number: max(number, other))
    agreed = max(own or 0, other)
    with pytest.raises(Stopped) if agreed else nullcontext() as stopped, stop.listening():
        if own is not None:
            signal.raise_signal(own)
            # Launchers pass on what the process has received already.
            signal.raise_signal(own)
        assert stop.asked() == (agreed > 0)
        assert stop.asked() == (agreed > 0)
        stop.grant()
    assert (stopped is not None) == (agreed > 0)
    if stopped is not None:
        assert stopped.value.exit_code == 128 + agreed
        assert capfd.readouterr().err == "\nStopping all processes after this step.\n"


def test_a_signal_during_the_agreement_counts_at_the_next_step() -> None:
    numbers = []

    def agree(number: int) -> int:
        numbers.append(number)
        if len(numbers) == 1:
            signal.raise_signal(signal.SIGTERM)
        return number

    stop = StopRequest(agree)
    with pytest.raises(Stopped), stop.listening():
        assert not stop.asked()
        assert stop.asked()
        stop.grant()
    assert numbers == [0, signal.SIGTERM]


def test_a_process_that_stops_finishes_its_last_words() -> None:
    words = []

    def stopped_by(second: signal.Signals) -> int:
        with pytest.raises(Stopped) as stopped, stop_signals_raised():
            try:
                signal.raise_signal(signal.SIGHUP)
            finally:
                signal.raise_signal(second)
                words.append(second)
        return stopped.value.exit_code

    assert [stopped_by(second) for second in HANDLED] == [130, 129, 129]
    assert words == [signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", HANDLED)
def test_a_signal_that_is_ignored_stays_ignored(number: signal.Signals) -> None:
    """As `nohup` and shells want it for what runs in the background."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        stop = StopRequest()
        with stop_signals_raised():
            signal.raise_signal(number)
            with stop.listening():
                signal.raise_signal(number)
        assert not stop.asked()
    finally:
        signal.signal(number, before)


def test_messages_of_a_command_hold_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])

    def command(arguments: list[str]) -> None:
        logging.getLogger("trainer").warning("Skipped %s", "a\x1b[2J.png")
        raise DataError("The class \x1b]0;title\x07 has no image.")

    assert run_command(command) == 2
    assert capsys.readouterr().err == (
        "Skipped a\\x1b[2J.png\nError: The class \\x1b]0;title\\x07 has no image.\n"
    )
