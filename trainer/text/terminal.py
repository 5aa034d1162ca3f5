"""Messages as a terminal may show them: names of files and answers of servers can hold anything."""

from __future__ import annotations

import logging
import unicodedata

# A terminal shows this much on one screen; what the user should do stands at the end.
LONGEST_MESSAGE = 2000
_START, _END = 1400, 500
# Control characters, lone surrogates, line separators; and marks that reverse the text after them.
_HARMFUL_CATEGORIES = frozenset(("Cc", "Cs", "Zl", "Zp"))
_REVERSING = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


def terminal_safe(text: str) -> str:
    r"""Return `text` with control characters written out, cut in the middle if it is very long.

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
        """Return the whole record; the traceback of a fault of ours is not cut."""
        message = terminal_safe(record.getMessage())
        return f"{message}\n{self.formatException(record.exc_info)}" if record.exc_info else message
