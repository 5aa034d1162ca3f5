"""Names of files, folders and classes: print them safely, compare them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache

# Control and formatting characters such as direction marks, invalid bytes, line separators.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_FIRST_ESCAPED_BYTE = 0xDC00
_DRIVE = re.compile(r"([A-Za-z]):[\\/]")
# In shorter names, two changed letters make another word (rust, rest).
SHORTEST_NAME, MOST_SLIPS = 5, 2
# All pairs of names are compared; the keys are computed once per name.
COMPARED_NAMES = 10_000


def printable(name: str) -> str:
    r"""Return a printable name: invisible characters and invalid bytes are escaped.

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
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(name: str) -> str:
    r"""Return a name as valid Unicode: bytes that are not UTF-8 become `\xfc`."""
    if is_text(name):
        return name
    return "".join(_escaped(c) if unicodedata.category(c) == "Cs" else c for c in name)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean …?` for the known name most similar to `name`, else nothing."""
    folded = {other.casefold(): other for other in known if other != name}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
    return f" Did you mean {printable(folded[close[0]])}?" if close else ""


def windows_path_hint(path: str) -> str:
    r"""Return where WSL 2 has a path of Windows, if `path` is one and this is no Windows.

    >>> windows_path_hint("C:\\Users\\mill")
    ' This is a path of Windows; in WSL 2 it is /mnt/c/Users/mill.'
    """
    drive = _DRIVE.match(path)
    if drive is None or os.name == "nt":
        return ""
    below = printable(path[drive.end() :].replace("\\", "/"))
    return f" This is a path of Windows; in WSL 2 it is /mnt/{drive[1].lower()}/{below}."


def listed(names: Sequence[str], most: int = 10) -> str:
    """Return names as one printable text: the first ones, and the number of the others."""
    shown = [printable(name) for name in names[:most]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") or "nothing"


def looks_same(one: str, other: str) -> str | None:
    """Describe the difference of two names that look the same; None for all others."""
    if one == other:
        return None
    a, b = _composed(one), _composed(other)
    if a == b:
        return "Unicode normalization (in one, accents are separate characters)"
    if a.strip() == b.strip():
        return "spaces at the beginning or end"
    same = visible(one) == visible(other)
    return "invisible characters or types of spaces" if same else None


def difference(one: str, other: str) -> str | None:
    """Describe the small difference of two names; None if they differ in meaning."""
    return looks_same(one, other) or _spelled_alike(one, other)


def _spelled_alike(one: str, other: str) -> str | None:
    if folded(one) == folded(other):
        return "upper and lower case"
    (a, numbers), (b, others) = _letters(one), _letters(other)
    if a == b:
        return "spaces, hyphens or underscores"
    # Numbers are significant: type 1 and type 2 are two classes.
    if numbers != others:
        return None
    short, long = sorted((a, b), key=len)
    if len(short) > 2 and long in (short + "s", short + "es"):
        return "singular and plural"
    # Typos are rare in the first letter, and un-, in- and ab- reverse the meaning.
    if len(short) < SHORTEST_NAME or a[0] != b[0] or _slips(a, b) > MOST_SLIPS:
        return None
    return "spelling"


@lru_cache(COMPARED_NAMES)
def folded(name: str) -> str:
    """Return a name for comparison without case."""
    return unicodedata.normalize("NFKC", name).casefold()


@lru_cache(COMPARED_NAMES)
def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


@lru_cache(COMPARED_NAMES)
def _letters(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the letters and digits of a name, and the numbers in it."""
    letters = re.sub(r"[\W_]+", "", folded(name))
    return letters, tuple(re.findall(r"\d+", letters))


@lru_cache(COMPARED_NAMES)
def visible(name: str) -> str:
    """Return the visual form of a name: the same text for names that look the same."""
    letters = unicodedata.normalize("NFC", name)
    shown = (letter for letter in letters if unicodedata.category(letter) not in _INVISIBLE)
    return " ".join("".join(shown).split())


def _slips(a: str, b: str) -> int:
    """Return the number of letters that are added, removed or replaced."""
    steps = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for step, i1, i2, j1, j2 in steps if step != "equal")


def _escaped(letter: str) -> str:
    code = ord(letter)
    if _FIRST_ESCAPED_BYTE <= code <= _FIRST_ESCAPED_BYTE + 0xFF:
        return f"\\x{code - _FIRST_ESCAPED_BYTE:02x}"
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")
