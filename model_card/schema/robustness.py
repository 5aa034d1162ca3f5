"""What a model bears: the facts of its test on images corrupted as an imaging line does."""

from __future__ import annotations

from pydantic import Field

from model_card.schema.base import Schema, Score


class Step(Schema):
    """The test images under one corruption of one severity."""

    severity: float
    accuracy: Score
    unnoticed: Score = Field(
        description="share named wrongly, and neither called unsure nor an unknown surface"
    )


class CorruptionResult(Schema):
    """One kind of corruption."""

    name: str
    unit: str
    steps: list[Step] = Field(min_length=1, description="the weakest first")

    @property
    def mean_accuracy(self) -> float:
        """Of all steps."""
        return sum(step.accuracy.value for step in self.steps) / len(self.steps)


class Robustness(Schema):
    """All of it; every image is corrupted in each way."""

    images: int = Field(gt=0)
    of: int = Field(gt=0, description="test images; fewer of each class were taken to save time")
    side_px: int = Field(gt=0, description="to which images are scaled before they are corrupted")
    seed: int
    clean: Score = Field(description="accuracy on the same images as they are")
    clean_unnoticed: Score
    kinds: list[CorruptionResult] = Field(min_length=1, description="the last one combines others")

    @property
    def combined(self) -> CorruptionResult:
        """What counts most: several corruptions at once."""
        return self.kinds[-1]
