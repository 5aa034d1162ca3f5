"""Robustness: results on corrupted test images."""

from __future__ import annotations

from pydantic import Field

from model_card.schema.base import Schema, Score


class Step(Schema):
    """The test images under one corruption of one severity."""

    severity: float
    accuracy: Score
    unnoticed: Score = Field(
        description="share with a wrong class that is neither unsure nor unknown"
    )


class CorruptionResult(Schema):
    """Results under one kind of corruption."""

    name: str
    unit: str
    steps: list[Step] = Field(min_length=1, description="the lowest severity first")

    @property
    def mean_accuracy(self) -> float:
        """Mean accuracy over all severities."""
        return sum(step.accuracy.value for step in self.steps) / len(self.steps)

    @property
    def most_unnoticed(self) -> float:
        """Largest share of unnoticed errors; at the highest severity, more images are rejected."""
        return max(step.unnoticed.value for step in self.steps)


class Robustness(Schema):
    """Results of all corruptions; each is applied to every image."""

    images: int = Field(gt=0)
    of: int = Field(gt=0, description="number of test images from which the images were sampled")
    side_px: int = Field(
        gt=0, description="size to which images are scaled before they are corrupted"
    )
    seed: int
    clean: Score = Field(description="accuracy on the same images without corruption")
    clean_unnoticed: Score = Field(description="unnoticed errors without corruption")
    kinds: list[CorruptionResult] = Field(min_length=1, description="the last one combines several")

    @property
    def worst(self) -> CorruptionResult:
        """The corruption with the lowest accuracy at its highest severity."""
        return min(self.kinds, key=lambda kind: kind.steps[-1].accuracy.value)

    @property
    def combined(self) -> CorruptionResult:
        """Several corruptions at once."""
        return self.kinds[-1]
