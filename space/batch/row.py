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
        defects: the classes that are named, the most likely first; None without an answer, or of a
            model that names one class.
    """

    path: str
    label: str | None = None
    confidence: float | None = None
    verdict: str | None = None
    prediction_set: tuple[str, ...] = ()
    novelty: float | None = None
    probabilities: Mapping[str, float] | None = None
    error: str | None = None
    defects: tuple[str, ...] | None = None

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
            defects=prediction.defects,
        )

    @property
    def outcome(self) -> str:
        """The verdict, or "error"."""
        return self.verdict or ERROR

    @property
    def named(self) -> tuple[str, ...]:
        """The classes of the answer; the most probable one where no defect is named."""
        return self.defects or (() if self.label is None else (self.label,))

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON has them; those of several defects only where they are."""
        fields = asdict(self) | {"prediction_set": list(self.prediction_set)}
        defects = fields.pop("defects")
        return fields if defects is None else fields | {"defects": list(defects)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Return the row that `as_json` describes; raises TypeError for other fields."""
        defects = fields.get("defects")
        changed = {"prediction_set": tuple(fields["prediction_set"])}
        if defects is not None:
            changed["defects"] = tuple(defects)
        return cls(**{**fields, **changed})

    def as_cells(self, labels: Sequence[str], *, several: bool = False) -> list[str]:
        """Return the cells of a table with the columns of `answer_columns`."""
        probabilities = self.probabilities or {}
        values = [
            *(self.path, self.label, self.confidence, self.verdict),
            *([SEPARATOR.join(self.defects or ())] if several else []),
            SEPARATOR.join(self.prediction_set),
            self.novelty,
            *(probabilities.get(label) for label in labels),
            self.error,
        ]
        return ["" if value is None else str(value) for value in values]


def answer_columns(labels: Sequence[str], *, several: bool = False) -> list[str]:
    """Return the header of a table.

    Args:
        labels: the model's classes.
        several: whether it names several defects of an image, which then have a column.
    """
    return [
        *("path", "label", "confidence", "verdict"),
        *(["defects"] if several else []),
        *("prediction_set", "novelty"),
        *(f"p({label})" for label in labels),
        "error",
    ]
