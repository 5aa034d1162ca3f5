"""Sanitize terminal output: file names and server responses may contain any characters."""

from __future__ import annotations

import logging
import unicodedata

# About one screen; the advice is at the end of a message.
LONGEST_MESSAGE = 2000
_START, _END = 1400, 500
# Control characters, lone surrogates, line separators, and marks that reverse the text.
_HARMFUL_CATEGORIES = frozenset(("Cc", "Cs", "Zl", "Zp"))
_REVERSING = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


def terminal_safe(text: str) -> str:
    r"""Return `text` with control characters escaped; very long text is cut in the middle.

    >>> terminal_safe("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if len(text) > LONGEST_MESSAGE:
        left_out = len(text) - _START - _END
        text = f"{text[:_START]} … ({left_out:,} characters left out) … {text[-_END:]}"
    return "".join(map(_visible, text))


def _visible(letter: str) -> str:
    harmful = (
        unicodedata.category(letter) in _HARMFUL_CATEGORIES
        or unicodedata.bidirectional(letter) in _REVERSING
    )
    if letter in "\n\t" or not harmful:
        return letter
    return letter.encode("unicode_escape").decode("ascii")


class PrintableFormatter(logging.Formatter):
    """Formats log records as `terminal_safe` text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the whole record; the traceback of an internal error is not cut."""
        message = terminal_safe(record.getMessage())
        return f"{message}\n{self.formatException(record.exc_info)}" if record.exc_info else message
