"""What a model bears: the facts of its test on images degraded as an imaging line does."""

from __future__ import annotations

from pydantic import Field

from model_card.schema.base import Facts, Score


class Step(Facts):
    """The test images under one degradation of one strength."""

    strength: float
    accuracy: Score
    unnoticed: Score = Field(
        description="share named wrongly, and neither called unsure nor an unknown surface"
    )


class Degraded(Facts):
    """One kind of degradation."""

    name: str
    unit: str
    steps: list[Step] = Field(min_length=1, description="the weakest first")

    @property
    def mean_accuracy(self) -> float:
        """Of all steps."""
        return sum(step.accuracy.value for step in self.steps) / len(self.steps)


class Robustness(Facts):
    """All of it; every image is degraded in each way."""

    images: int = Field(gt=0)
    of: int = Field(gt=0, description="test images; fewer of each class were taken to save time")
    side_px: int = Field(gt=0, description="to which images are scaled before they are degraded")
    seed: int
    clean: Score = Field(description="accuracy on the same images as they are")
    clean_unnoticed: Score
    kinds: list[Degraded] = Field(min_length=1, description="the last one combines others")

    @property
    def combined(self) -> Degraded:
        """What counts most: several degradations at once."""
        return self.kinds[-1]
