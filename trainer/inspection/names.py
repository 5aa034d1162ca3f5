"""Find class names that may mean the same: other case, underscores, a plural, a slip of the pen."""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher
from itertools import combinations

from trainer.inspection.report import NamesAlike

# In shorter names, two letters make another word (rust, rest).
SHORTEST_NAME, MOST_SLIPS = 5, 2


def find_names_alike(labels: list[str]) -> list[NamesAlike]:
    """Return the pairs of class names that a person would hold to be one."""
    found = []
    for one, other in combinations(sorted(labels), 2):
        difference = _difference(one, other)
        if difference:
            found.append(NamesAlike(one=one, other=other, difference=difference))
    return found


def _difference(one: str, other: str) -> str | None:
    """Say in which small way two names differ; None if they differ in earnest."""
    a, b = (unicodedata.normalize("NFKC", name).casefold() for name in (one, other))
    if a == b:
        return "upper and lower case"
    a, b = (re.sub(r"[\W_]+", "", name) for name in (a, b))
    if a == b:
        return "spaces, hyphens or underscores"
    # Numbers are meant: type 1 and type 2 are two classes.
    if re.findall(r"\d+", a) != re.findall(r"\d+", b):
        return None
    short, long = sorted((a, b), key=len)
    if len(short) > 2 and long in (short + "s", short + "es"):
        return "singular and plural"
    # A slip seldom hits the first letter; un-, in- and ab- make the opposite.
    if len(short) < SHORTEST_NAME or a[0] != b[0] or _slips(a, b) > MOST_SLIPS:
        return None
    return "spelling"


def _slips(a: str, b: str) -> int:
    """Return how many letters are added, left out or replaced."""
    steps = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for step, i1, i2, j1, j2 in steps if step != "equal")
