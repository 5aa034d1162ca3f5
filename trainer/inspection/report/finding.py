"""One finding, and how it names files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LISTED = 3


@dataclass(frozen=True)
class Finding:
    """One thing to know about the data.

    Attributes:
        level: "problem": training or its score is wrong; "review": a person should check it.
        title: one line, with the number.
        text: the meaning, and what to do.
        section: of the page with the evidence.
    """

    level: Literal["problem", "review", "ok"]
    title: str
    text: str
    section: str


def named(files: list[str]) -> list[str]:
    """Return the first names, and the number of the others."""
    more = len(files) - LISTED
    return files[:LISTED] + ([f"{more:,} more"] if more > 0 else [])
