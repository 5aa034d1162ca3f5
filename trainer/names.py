"""Names of files, folders and classes: how to print them, how two of them differ."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

# Controls, formatting marks such as direction changes, bytes that are no text, line separators.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_FIRST_ESCAPED_BYTE = 0xDC00


def printable(name: str) -> str:
    r"""Return a name as a terminal can show it: what is invisible or no text is escaped.

    Bytes that are not UTF-8 arrive from Python as lone surrogates and become `\xfc`. Quotes show
    where a name begins or ends with a space.

    >>> printable("a\nb")
    'a\\nb'
    """
    shown = "".join(
        _escaped(letter) if unicodedata.category(letter) in _INVISIBLE else letter
        for letter in name
    )
    return shown if shown == shown.strip() else f'"{shown}"'


def is_text(name: str) -> bool:
    """Return whether a name is valid UTF-8 on the disk."""
    return not any(unicodedata.category(letter) == "Cs" for letter in name)


def as_text(name: str) -> str:
    r"""Return a name as valid Unicode: bytes that are not UTF-8 become `\xfc`, the rest stays."""
    return "".join(_escaped(c) if unicodedata.category(c) == "Cs" else c for c in name)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean …?` for the known name that is most like `name`, else nothing."""
    folded = {other.casefold(): other for other in known if other != name}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
    return f" Did you mean {printable(folded[close[0]])}?" if close else ""


def _escaped(letter: str) -> str:
    code = ord(letter)
    if _FIRST_ESCAPED_BYTE <= code <= _FIRST_ESCAPED_BYTE + 0xFF:
        return f"\\x{code - _FIRST_ESCAPED_BYTE:02x}"
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")
