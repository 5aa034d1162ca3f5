"""One predicted image, as far as the coil view needs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Crop:
    """An image that was predicted.

    Attributes:
        path: as the operating system gives it.
        name: the path as text, unique.
        outcome: "class", "unsure" or "unknown".
        defect: the accepted class; None if there is no accepted answer, or if it is that there is
            no defect.
    """

    path: str
    name: str
    outcome: str
    defect: str | None
