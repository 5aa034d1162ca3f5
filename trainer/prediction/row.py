"""The answer for one image, as a row of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from space.batch.row import ERROR, SEPARATOR, answer_columns
from space.batch.row import Row as AnswerRow

if TYPE_CHECKING:
    # Imports torch, which takes seconds.
    from space.inference.core.decision import Prediction


@dataclass(frozen=True)
class OutcomeName:
    """How an outcome is called.

    Attributes:
        words: in a sentence.
        folder: of sorted copies.
    """

    words: str
    folder: str

    @property
    def title(self) -> str:
        """The words at the beginning of a line."""
        return self.words.capitalize()


OUTCOMES = {
    "class": OutcomeName("accepted", "accepted"),
    "unsure": OutcomeName("unsure", "unsure"),
    "unknown": OutcomeName("unknown surface", "unknown"),
    ERROR: OutcomeName("unreadable", "unreadable"),
}


def outcomes_in_words(numbers: Mapping[str, int]) -> str:
    """Return the number of images of each outcome: `3 accepted, 0 unsure, …`."""
    return ", ".join(f"{numbers[key]:,} {name.words}" for key, name in OUTCOMES.items())


@dataclass(frozen=True)
class Row(AnswerRow):
    """The answer for one image, or why there is none; the path is that of the file, as text.

    Attributes:
        bit_depth: the smallest usual depth that holds the samples of the image.
        milliseconds: to decode and prepare it, and its share of the batch.
        model: fingerprint of the model's files.
    """

    bit_depth: int | None = None
    milliseconds: float | None = None
    model: str | None = None

    @classmethod
    def measured(
        cls,
        path: str,
        prediction: Prediction,
        bit_depth: int,
        milliseconds: float,
        model: str | None = None,
    ) -> Self:
        """Return the row of a prediction, rounded to what can be read."""
        return replace(
            cls.of(path, prediction),
            bit_depth=bit_depth,
            milliseconds=round(milliseconds, 2),
            model=model,
        )

    def as_cells(self, labels: Sequence[str], *, several: bool = False) -> list[str]:
        """Return the cells of a table with the columns of `columns`."""
        *answer, error = super().as_cells(labels, several=several)
        values = (self.bit_depth, self.milliseconds, error, self.model)
        return [*answer, *("" if value is None else str(value) for value in values)]

    @classmethod
    def from_cells(
        cls, cells: Sequence[str], labels: Sequence[str], *, several: bool = False
    ) -> Self:
        """Return the row that `as_cells` describes; raises ValueError for other cells."""
        path, label, confidence, verdict, *rest = cells
        defects = rest.pop(0) if several else ""
        candidates, novelty, *rest = rest
        *values, bit_depth, milliseconds, error, model = rest
        return cls(
            path=path,
            label=label or None,
            confidence=_number(confidence),
            verdict=verdict or None,
            prediction_set=_candidates(candidates, labels),
            novelty=_number(novelty),
            probabilities={k: float(p) for k, p in zip(labels, values, strict=True)}
            if verdict
            else None,
            bit_depth=int(bit_depth) if bit_depth else None,
            milliseconds=_number(milliseconds),
            error=error or None,
            model=model or None,
            defects=_candidates(defects, labels) if several and verdict else None,
        )


def columns(labels: Sequence[str], *, several: bool = False) -> list[str]:
    """Return the header of a table; see `answer_columns`."""
    *answer, error = answer_columns(labels, several=several)
    return [*answer, "bit_depth", "milliseconds", error, "model"]


def _number(text: str) -> float | None:
    return float(text) if text else None


def _candidates(text: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels that a cell joins; a label may contain the separator itself."""
    found: list[str] = []
    while text:
        fitting = [e for e in labels if text == e or text.startswith(e + SEPARATOR)]
        if not fitting:
            raise ValueError(f"unknown class in {text!r}")
        found.append(max(fitting, key=len))
        text = text[len(found[-1]) + len(SEPARATOR) :]
    return tuple(found)
