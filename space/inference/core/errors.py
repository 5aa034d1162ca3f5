"""The error of a model that can't be used, and safe words for what an untrusted file holds."""

from __future__ import annotations

from collections.abc import Iterable

MAX_MESSAGE = 400
MAX_PROBLEMS = 3


class ModelError(ValueError):
    """The model can't be loaded; the message says which one, why, and what to do."""


def shortened(text: object, limit: int = MAX_MESSAGE) -> str:
    """Return printable text of bounded length from an untrusted error or file."""
    words = "".join(c if c.isprintable() or c == "\n" else "�" for c in str(text)[: 2 * limit])
    return words if len(words) <= limit else words[: limit - 1] + "…"


def listed(names: Iterable[str]) -> str:
    """Return the first names and the number of the others."""
    ordered = sorted(names)
    shown = ", ".join(shortened(name, 80) for name in ordered[:MAX_PROBLEMS])
    rest = len(ordered) - MAX_PROBLEMS
    return shown + (f" and {rest} more" if rest > 0 else "")
