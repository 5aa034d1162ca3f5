"""The answer for one image, as a row of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

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


# A verdict, or this.
ERROR = "error"
OUTCOMES = {
    "class": OutcomeName("accepted", "accepted"),
    "unsure": OutcomeName("unsure", "unsure"),
    "unknown": OutcomeName("unknown surface", "unknown"),
    ERROR: OutcomeName("unreadable", "unreadable"),
}
DECIMALS = 6
SEPARATOR = "; "


@dataclass(frozen=True)
class Row:
    """The answer for one image, or why there is none.

    Attributes:
        path: of the image, as text.
        label: the most probable class, also where the verdict is "unsure" or "unknown".
        confidence: its probability.
        verdict: "class", "unsure" or "unknown"; None if the image can't be read.
        prediction_set: the candidates at the published coverage, the most likely first.
        novelty: relative to its limit; above 1 the surface is unknown.
        probabilities: of each class.
        bit_depth: the smallest usual depth that holds the samples of the image.
        milliseconds: to decode and prepare it, and its share of the batch.
        error: why there is no answer.
        model: fingerprint of the model's files.
    """

    path: str
    label: str | None = None
    confidence: float | None = None
    verdict: str | None = None
    prediction_set: tuple[str, ...] = ()
    novelty: float | None = None
    probabilities: Mapping[str, float] | None = None
    bit_depth: int | None = None
    milliseconds: float | None = None
    error: str | None = None
    model: str | None = None

    @classmethod
    def of(
        cls,
        path: str,
        prediction: Prediction,
        bit_depth: int,
        milliseconds: float,
        model: str | None = None,
    ) -> Self:
        """Return the row of a prediction, rounded to what can be read."""
        novelty = prediction.novelty
        return cls(
            path=path,
            label=prediction.label,
            confidence=round(prediction.confidence, DECIMALS),
            verdict=prediction.verdict,
            prediction_set=prediction.candidates,
            novelty=None if novelty is None else float(f"{novelty:.{DECIMALS}g}"),
            probabilities={k: round(p, DECIMALS) for k, p in prediction.probabilities.items()},
            bit_depth=bit_depth,
            milliseconds=round(milliseconds, 2),
            model=model,
        )

    @property
    def outcome(self) -> str:
        """The verdict, or "error"."""
        return self.verdict or ERROR

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return {
            "path": self.path,
            "label": self.label,
            "confidence": self.confidence,
            "verdict": self.verdict,
            "prediction_set": list(self.prediction_set),
            "novelty": self.novelty,
            "probabilities": None if self.probabilities is None else dict(self.probabilities),
            "bit_depth": self.bit_depth,
            "milliseconds": self.milliseconds,
            "error": self.error,
            "model": self.model,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Return the row that `as_json` describes; raises TypeError for other fields."""
        return cls(**{**fields, "prediction_set": tuple(fields["prediction_set"])})

    def as_cells(self, labels: Sequence[str]) -> list[str]:
        """Return the cells of a table with the columns `columns(labels)`."""
        probabilities = self.probabilities or {}
        values = [
            *(self.path, self.label, self.confidence, self.verdict),
            SEPARATOR.join(self.prediction_set),
            self.novelty,
            *(probabilities.get(label) for label in labels),
            *(self.bit_depth, self.milliseconds, self.error, self.model),
        ]
        return ["" if value is None else str(value) for value in values]

    @classmethod
    def from_cells(cls, cells: Sequence[str], labels: Sequence[str]) -> Self:
        """Return the row that `as_cells` describes; raises ValueError for other cells."""
        path, label, confidence, verdict, candidates, novelty, *rest = cells
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
        )


def columns(labels: Sequence[str]) -> list[str]:
    """Return the header of a table."""
    return [
        *("path", "label", "confidence", "verdict", "prediction_set", "novelty"),
        *(f"p({label})" for label in labels),
        *("bit_depth", "milliseconds", "error", "model"),
    ]


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
