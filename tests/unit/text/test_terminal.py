"""Whatever a name or a server holds, a terminal gets text, and not more than a screen of it."""

from __future__ import annotations

import logging
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawn_text import CHARACTERS
from trainer.text.terminal import LONGEST_MESSAGE, PrintableFormatter, terminal_safe


@given(st.text(CHARACTERS))
def test_no_control_character_is_left(text: str) -> None:
    shown = terminal_safe(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    assert len(shown.splitlines()) <= len(text.split("\n"))
    shown.encode()


@given(st.text(st.characters(exclude_categories=("C", "Z")), max_size=LONGEST_MESSAGE))
def test_ordinary_text_stays(text: str) -> None:
    assert terminal_safe(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\rb\x9b31m", "a\\rb\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udcff.png", "\\udcff.png"),
        ("a\nb\tc é 鋼", "a\nb\tc é 鋼"),
    ],
)
def test_what_is_written_out(text: str, shown: str) -> None:
    assert terminal_safe(text) == shown


def test_long_messages_keep_start_and_end() -> None:
    shown = terminal_safe("What is wrong: " + "x" * 100_000 + " Do this.")
    assert shown.startswith("What is wrong: x")
    assert shown.endswith("x Do this.")
    assert "98,124 characters left out" in shown
    assert len(shown) <= LONGEST_MESSAGE


def test_log_records_are_printable_and_keep_their_traceback() -> None:
    try:
        raise ValueError("why")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("a", logging.ERROR, "", 0, "bad %s", ("\x07",), info)
    first, *rest = PrintableFormatter().format(record).splitlines()
    assert first == "bad \\x07"
    assert rest[-1] == "ValueError: why"
