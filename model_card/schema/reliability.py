"""Whether a model's predictions can be acted on: the facts of calibration, sets and rejection."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from model_card.schema.base import Schema, Score


class ReliabilityBin(Schema):
    """Test images of similar confidence; confidence and accuracy are their means."""

    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    images: int = Field(gt=0)
    confidence: float = Field(ge=0, le=1)
    accuracy: float = Field(ge=0, le=1)


class Agreement(Schema):
    """How well probabilities agree with the truth of the test images."""

    ece: float = Field(ge=0, le=1, description="expected calibration error, 15 equal-width bins")
    adaptive_ece: float = Field(ge=0, le=1, description="15 bins of equally many images")
    ece_by_chance: float = Field(
        ge=0, le=1, description="what perfectly calibrated confidences would show on as few images"
    )
    brier: float = Field(ge=0, le=2)
    negative_log_likelihood: float = Field(ge=0, description="nats")
    bins: list[ReliabilityBin]


class Calibration(Schema):
    """What the temperature makes of the network's confidence."""

    temperature: float = Field(gt=0)
    fitted_on: Literal["validation", "other folds"]
    fitted_images: int = Field(gt=0)
    before: Agreement
    after: Agreement


class ClassSets(Schema):
    """Prediction sets of the test images of one class."""

    label: str
    images: int = Field(gt=0)
    coverage: Score = Field(description="share of the sets that hold the class")
    mean_size: float = Field(ge=1)


class PredictionSets(Schema):
    """Sets of classes that hold the true one with a chosen probability."""

    target: float = Field(gt=0, lt=1)
    least_probability: float = Field(ge=0, le=1, description="of a class in the set")
    coverage: Score
    mean_size: float = Field(ge=1)
    classes: list[ClassSets]


class Spread(Schema):
    """Percentiles of how strange images are, where 1 is the limit."""

    p5: float = Field(ge=0)
    p25: float = Field(ge=0)
    p50: float = Field(ge=0)
    p75: float = Field(ge=0)
    p95: float = Field(ge=0)


class OodKind(Schema):
    """How well images of one kind, which shows no known surface, are told from the test images."""

    kind: str
    images: int = Field(gt=0)
    auroc: float = Field(ge=0, le=1)
    false_positive_rate: float = Field(
        ge=0, le=1, description="of test images, where 95 % of these are rejected"
    )
    rejected: Score = Field(description="at the published limit")
    novelty: Spread


class LeftOut(Schema):
    """The hard case: a class of the data that was kept out of what is known."""

    label: str
    images: int = Field(gt=0, description="test images of the class")
    auroc: float = Field(ge=0, le=1)
    false_positive_rate: float = Field(ge=0, le=1)


class OodDetection(Schema):
    """How images are recognised that show nothing the model knows."""

    stages: list[int] = Field(min_length=1, description="of the network, whose maps are compared")
    limit: float = Field(gt=0, description="of the distance; beyond it, a surface is unknown")
    allowed: float = Field(gt=0, lt=1, description="share of known images that may be rejected")
    reference_images: int = Field(gt=0, description="that the limit follows from")
    test_rejected: Score = Field(description="share of the test images")
    reference_novelty: Spread
    kinds: list[OodKind] = Field(min_length=1)
    left_out: list[LeftOut] = Field(
        description="each class in turn; the network itself had seen it in training"
    )
    network_saw_left_out: bool


class RiskCoverage(Schema):
    """Mistakes among the most confident share of the test images, for every share."""

    coverage: list[float]
    risk: list[float]
    area: float = Field(ge=0, le=1)


class OperatingPoint(Schema):
    """Which images a person looks at, given what outcomes cost."""

    cost_missed: float = Field(ge=0)
    cost_false_alarm: float = Field(ge=0)
    cost_review: float = Field(ge=0)
    no_defect: str | None
    confidence_limit: float | None = Field(
        description="below it a person looks; None: it depends on which classes compete"
    )
    unsure: Score = Field(description="share of test images left to a person as unsure")
    unknown: Score = Field(description="share of test images called an unknown surface")
    automatic_accuracy: Score | None = Field(
        description="accuracy of what is answered without a person; None: nothing is"
    )
    mean_cost: float = Field(ge=0, description="of a test image at this point")
    mean_cost_automatic: float = Field(ge=0, description="if every answer were taken")
    mean_cost_manual: float = Field(ge=0, description="if a person looked at every image")
    curve: RiskCoverage


class Reliability(Schema):
    """All of it, measured on the test images."""

    calibration: Calibration
    sets: PredictionSets
    ood_detection: OodDetection | None = Field(
        description="None: the network does not show its stages, or too few images are known"
    )
    operating_point: OperatingPoint
