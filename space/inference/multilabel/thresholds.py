"""Which classes are named, which are ruled out, and which a person decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Thresholds:
    """Two thresholds of the probability of each class, in the order of the classes.

    A class between its thresholds is uncertain: the image is reviewed by a person.

    Attributes:
        named: at or above it, a class is named.
        absent: below it, a class is ruled out; never above `named`.
        max_missed: the promised share of defects that are ruled out, on average over new pieces of
            surface; None if there were too few images to promise anything.

    Raises:
        ValueError: a value is out of bounds; the message begins with its name.
    """

    named: list[float]
    absent: list[float]
    max_missed: float | None

    def __post_init__(self) -> None:
        for name in ("named", "absent"):
            values = getattr(self, name)
            if not isinstance(values, list) or not all(_is_share(value) for value in values):
                raise ValueError(f"thresholds.{name} is no list of numbers between 0 and 1")
        if len(self.named) != len(self.absent):
            raise ValueError("thresholds.named and thresholds.absent have different lengths")
        if any(low > high for low, high in zip(self.absent, self.named, strict=True)):
            raise ValueError("thresholds.absent is above thresholds.named")
        if self.max_missed is not None and not _is_share(self.max_missed):
            raise ValueError("thresholds.max_missed is no number between 0 and 1")

    @classmethod
    def from_json(cls, fields: object) -> Self:
        """Return the thresholds that `dataclasses.asdict` described.

        Raises:
            ValueError: a field is missing, unknown or out of bounds; the message names it.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or fields.keys() != names:
            raise ValueError(f"thresholds needs exactly the fields {', '.join(sorted(names))}")
        return cls(**fields)

    def classes(self, row: Sequence[float]) -> tuple[list[int], list[int]]:
        """Return the classes that are named, and all that are not ruled out.

        Both are sorted by probability. Of an image whose classes are all ruled out, the most
        probable one is left to a person: the training images all show a defect.

        Args:
            row: the probability of each class.
        """
        ranked = sorted(range(len(row)), key=lambda label: -row[label])
        named = [label for label in ranked if row[label] >= self.named[label]]
        possible = [label for label in ranked if row[label] >= self.absent[label]]
        return named, possible or ranked[:1]


def sigmoid(logits: npt.NDArray[np.floating]) -> Probabilities:
    """Return the probability of each class by itself, [image, class], in double precision."""
    probabilities: Probabilities = 0.5 * (1 + np.tanh(logits.astype(np.float64) / 2))
    return probabilities


def _is_share(value: object) -> bool:
    # A bool is an int in Python, but not in JSON.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
