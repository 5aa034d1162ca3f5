"""Comparison of a new model with the published model that it replaces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from model_card.schema.base import Schema, Score

Verdict = Literal["better", "equal", "worse"]
SIGNIFICANCE = 0.05


class Difference(Schema):
    """Accuracy of the new model minus that of the published one, as a fraction of 1."""

    value: float = Field(ge=-1, le=1)
    low: float = Field(ge=-1, le=1, description="of the 95 % interval")
    high: float = Field(ge=-1, le=1, description="of the 95 % interval")
    p_value: float = Field(
        ge=0, le=1, description="two-sided, by exchanging the models for whole groups of images"
    )

    @model_validator(mode="after")
    def _interval_holds_value(self) -> Difference:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} is outside its interval {self.low}–{self.high}")
        return self

    @property
    def verdict(self) -> Verdict:
        """The new model's place; "equal" if the images do not distinguish the models."""
        if self.p_value > SIGNIFICANCE or self.value == 0:
            return "equal"
        return "better" if self.value > 0 else "worse"


class PairedAccuracy(Schema):
    """Accuracy of both models on the same images."""

    images: int = Field(gt=0)
    new: Score
    published: Score
    difference: Difference

    @property
    def verdict(self) -> Verdict:
        """See `Difference`."""
        return self.difference.verdict


class NamedAccuracy(PairedAccuracy):
    """Accuracy of both models on one class, or under one corruption; p-values are adjusted."""

    name: str


class PairedRobustness(Schema):
    """Results of both models on test images that were corrupted in the same way."""

    severity: int = Field(ge=1, description="of each corruption; 1 is the weakest, 5 the strongest")
    kinds: list[NamedAccuracy] = Field(min_length=1, description="one for each corruption")


class PairedResult(Schema):
    """Results of both models on the test images that neither was trained on."""

    overall: PairedAccuracy
    test_images: int = Field(gt=0, description="images of the test split")
    groups: int = Field(gt=0, description="pieces of surface that the compared images show")
    only_new: int = Field(ge=0, description="images that only the new model predicts correctly")
    only_published: int = Field(
        ge=0, description="images that only the published model predicts correctly"
    )
    known_splits: bool = Field(
        description="whether the published report names the images that its model was trained on; "
        "otherwise it may have seen the compared ones"
    )
    missing_images: int = Field(
        ge=0,
        description="images that the published model was trained on and that are not among the new "
        "model's: they may show the surface of test images",
    )
    classes: list[NamedAccuracy] = Field(description="each class that was compared")
    robustness: PairedRobustness | None = Field(
        default=None, description="None if no image was corrupted"
    )


class Comparison(Schema):
    """The published model that a new one replaced, and which one is better."""

    repo_id: str
    revision: str = Field(description="commit of the published model, which stays loadable")
    result: PairedResult | None
    reason: str | None = Field(description="why the models were not compared")

    @model_validator(mode="after")
    def _result_or_reason(self) -> Comparison:
        if (self.result is None) == (self.reason is None):
            raise ValueError("a comparison has either a result or a reason")
        return self
