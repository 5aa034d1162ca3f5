"""The answer for one image of a batch, as JSON and as a line of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from space.inference.core.decision import Prediction

DECIMALS = 6
SEPARATOR = "; "
# The outcome of a file without an answer.
ERROR = "error"


@dataclass(frozen=True)
class Row:
    """The answer for one image, or why there is none.

    Attributes:
        path: name of the image, in a zip with its folders.
        label: the most probable class, also where the verdict is "unsure" or "unknown".
        confidence: its probability.
        verdict: "class", "unsure" or "unknown"; None if there is no answer.
        prediction_set: the candidates at the published coverage, the most likely first.
        novelty: relative to its limit; above 1 the surface is unknown.
        probabilities: of each class.
        error: why there is no answer.
    """

    path: str
    label: str | None = None
    confidence: float | None = None
    verdict: str | None = None
    prediction_set: tuple[str, ...] = ()
    novelty: float | None = None
    probabilities: Mapping[str, float] | None = None
    error: str | None = None

    @classmethod
    def of(cls, path: str, prediction: Prediction) -> Self:
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
        )

    @property
    def outcome(self) -> str:
        """The verdict, or "error"."""
        return self.verdict or ERROR

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self) | {"prediction_set": list(self.prediction_set)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Return the row that `as_json` describes; raises TypeError for other fields."""
        return cls(**{**fields, "prediction_set": tuple(fields["prediction_set"])})

    def as_cells(self, labels: Sequence[str]) -> list[str]:
        """Return the cells of a table with the columns `answer_columns(labels)`."""
        probabilities = self.probabilities or {}
        values = [
            *(self.path, self.label, self.confidence, self.verdict),
            SEPARATOR.join(self.prediction_set),
            self.novelty,
            *(probabilities.get(label) for label in labels),
            self.error,
        ]
        return ["" if value is None else str(value) for value in values]


def answer_columns(labels: Sequence[str]) -> list[str]:
    """Return the header of a table."""
    return [
        *("path", "label", "confidence", "verdict", "prediction_set", "novelty"),
        *(f"p({label})" for label in labels),
        "error",
    ]
