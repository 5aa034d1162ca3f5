"""The result of `trainer/learning_curve.py`, as in `learning_curve.json`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from model_card.schema.base import Schema
from trainer.runtime.files import replaced_whole

RESULT_FILE = "learning_curve.json"


class Interval(Schema):
    """An error or a change of it with its 95 % interval, as fractions of 1."""

    value: float
    low: float
    high: float


class MeasuredError(Schema):
    """The mean error rate of the classes with one number of images."""

    images: int = Field(ge=1)
    error: Interval
    set_size: float | None = Field(
        description="mean number of classes in a prediction set; None: not measured"
    )


class Law(Schema):
    """The fitted law: error = floor + scale × images^(-exponent)."""

    floor: float
    scale: float
    exponent: float

    def error(self, images: float) -> float:
        """Return the error with this number of images."""
        return float(self.floor + self.scale * images**-self.exponent)


class Forecast(Schema):
    """The error by the law, with the images of today and with more."""

    images_now: int
    images_then: int
    error_now: Interval
    error_then: Interval
    change: Interval


class ClassCurve(Schema):
    """The error over all classes by the number of images of one, with all of the others."""

    name: str
    points: list[MeasuredError]
    law: Law
    forecast: Forecast


class LearningCurve(Schema):
    """The error by the number of images of each class, and of single classes."""

    images: int
    classes: int
    points: list[MeasuredError]
    law: Law
    forecast: Forecast
    by_class: list[ClassCurve]
    photograph_first: list[str] = Field(
        description="the class with the largest gain, then those not distinguishable from it; "
        "empty: none is distinguishable from no gain"
    )

    def write(self, folder: Path) -> Path:
        """Write `learning_curve.json`, whole or not at all; return its path."""
        file = folder / RESULT_FILE
        with replaced_whole(file) as partial:
            partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return file
