"""Reliability: calibration, prediction sets, OOD detection, operating point, several defects."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from model_card.schema.base import Schema, Score


class ReliabilityBin(Schema):
    """Test images of similar confidence; confidence and accuracy are their means."""

    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    images: int = Field(gt=0)
    confidence: float = Field(ge=0, le=1)
    accuracy: float = Field(ge=0, le=1)


class Agreement(Schema):
    """Agreement of predicted probabilities with the true classes of the test images."""

    ece: float = Field(ge=0, le=1, description="expected calibration error, 15 equal-width bins")
    adaptive_ece: float = Field(ge=0, le=1, description="15 bins of equally many images")
    ece_by_chance: float = Field(
        ge=0, le=1, description="expected ECE of perfect calibration on the same number of images"
    )
    brier: float = Field(ge=0, le=2)
    negative_log_likelihood: float = Field(ge=0, description="nats")
    bins: list[ReliabilityBin]


class Calibration(Schema):
    """Confidence of the network before and after temperature scaling."""

    temperature: float = Field(gt=0)
    fitted_on: Literal["validation", "other folds"]
    fitted_images: int = Field(gt=0)
    before: Agreement
    after: Agreement


class ClassSets(Schema):
    """Prediction sets of the test images of one class."""

    label: str
    images: int = Field(gt=0)
    coverage: Score = Field(description="share of the sets that contain the class")
    mean_size: float = Field(ge=1)


class PredictionSets(Schema):
    """Sets of classes that contain the true class with a chosen probability."""

    target: float = Field(gt=0, lt=1)
    least_probability: float = Field(ge=0, le=1, description="of a class in the set")
    coverage: Score
    mean_size: float = Field(ge=1)
    classes: list[ClassSets]


class Spread(Schema):
    """Percentiles of novelty scores in units of the limit."""

    p5: float = Field(ge=0)
    p25: float = Field(ge=0)
    p50: float = Field(ge=0)
    p75: float = Field(ge=0)
    p95: float = Field(ge=0)


class OodKind(Schema):
    """Detection of one kind of OOD images."""

    kind: str
    images: int = Field(gt=0)
    auroc: float = Field(ge=0, le=1)
    false_positive_rate: float = Field(
        ge=0, le=1, description="of the test images, at a limit that rejects 95 % of the OOD images"
    )
    rejected: Score = Field(description="at the published limit")
    novelty: Spread


class LeftOut(Schema):
    """Detection of a class that is left out of the reference set, the hardest kind of OOD."""

    label: str
    images: int = Field(gt=0, description="test images of the class")
    auroc: float = Field(ge=0, le=1)
    false_positive_rate: float = Field(ge=0, le=1)


class OodDetection(Schema):
    """Detection of OOD images by their novelty score."""

    stages: list[int] = Field(
        min_length=1, description="network stages whose feature maps are compared"
    )
    limit: float = Field(gt=0, description="of the novelty score; above it, an image is unknown")
    allowed: float = Field(
        gt=0, lt=1, description="share of in-distribution images to reject at most"
    )
    reference_images: int = Field(gt=0, description="images that the limit is fitted to")
    test_rejected: Score = Field(description="share of the test images")
    reference_novelty: Spread
    kinds: list[OodKind] = Field(min_length=1)
    left_out: list[LeftOut] = Field(description="each class in turn; see network_saw_left_out")
    network_saw_left_out: bool = Field(description="whether the network was trained on the class")


class RiskCoverage(Schema):
    """Error rate of the most confident test images, for every share of them."""

    coverage: list[float]
    risk: list[float]
    area: float = Field(ge=0, le=1)


class OperatingPoint(Schema):
    """Which images a person reviews, given the costs of mistakes and reviews."""

    cost_missed: float = Field(ge=0)
    cost_false_alarm: float = Field(ge=0)
    cost_review: float = Field(ge=0)
    no_defect: str | None
    confidence_limit: float | None = Field(
        description="below it, a person reviews; None: it depends on the competing classes"
    )
    unsure: Score = Field(description="share of test images sent to review as unsure")
    unknown: Score = Field(description="share of test images sent to review as unknown")
    automatic_accuracy: Score | None = Field(
        description="accuracy on automatically accepted images; None: there are none"
    )
    mean_cost: float = Field(ge=0, description="mean cost per test image")
    mean_cost_automatic: float = Field(ge=0, description="if every answer were accepted")
    mean_cost_manual: float = Field(ge=0, description="if a person reviewed every image")
    curve: RiskCoverage

    @property
    def automatic(self) -> float:
        """Share of test images that are accepted automatically."""
        # Rounding keeps the float error of the difference from looking like a share.
        return max(0.0, round(1 - self.unsure.value - self.unknown.value, 9))


class Reliability(Schema):
    """All reliability results on the test images."""

    calibration: Calibration
    sets: PredictionSets
    ood_detection: OodDetection | None = Field(
        description="None: the network exposes no stages, or there are too few reference images"
    )
    operating_point: OperatingPoint


class DefectClass(Schema):
    """Test result of one class of a model that names several defects of an image."""

    label: str
    images: int = Field(ge=0, description="test images that show the class")
    named_from: float = Field(ge=0, le=1, description="lowest probability with which it is named")
    absent_below: float = Field(ge=0, le=1, description="probability below which it is ruled out")
    precision: Score = Field(description="share that shows it, of the images for which it is named")
    recall: Score = Field(description="share of the images that show it for which it is named")
    missed: Score = Field(description="share of the images that show it for which it is ruled out")
    average_precision: float | None = Field(
        ge=0, le=1, description="area under precision over recall; None: no test image shows it"
    )


class MissedDefects(Schema):
    """The promise that few defects are ruled out, and what the test images say about it."""

    promised: float | None = Field(
        gt=0, lt=1, description="largest expected share; None: too few pieces to promise one"
    )
    fitted_groups: int = Field(gt=0, description="pieces of surface that the promise is fitted to")
    groups: int = Field(gt=0, description="pieces of surface among the test images")
    share: Score = Field(
        description="share of a piece's defects that are ruled out, mean over the test pieces"
    )
    of_all: Score = Field(
        description="share of all defects of the test images that are ruled out, about which "
        "nothing is promised: a large piece of surface counts for more than a small one"
    )


class SeveralDefects(Schema):
    """Results of a model that names several defects of an image, on the test images."""

    calibration: Calibration = Field(description="of each class of each image, taken separately")
    classes: list[DefectClass]
    mean_average_precision: float = Field(ge=0, le=1, description="mean over the classes")
    exact: Score = Field(description="share of images whose defects are named exactly")
    one_defect: int = Field(ge=0, description="test images with one defect")
    one_exact: Score = Field(description="share of these for which this defect alone is named")
    several: int = Field(ge=0, description="test images with several defects")
    second_named: Score = Field(
        description="share of these for which a defect besides the class of the image is named"
    )
    second_possible: Score = Field(
        description="share of these for which such a defect is named or left to a person"
    )
    missed: MissedDefects
    cost_missed: float = Field(ge=0)
    cost_false_alarm: float = Field(ge=0)
    cost_review: float = Field(ge=0)
    unsure: Score = Field(description="share of test images sent to review as unsure")
    unknown: Score = Field(description="share of test images sent to review as unknown")
    automatic_exact: Score | None = Field(
        description="share of automatic answers that name exactly the defects; None: no answers"
    )
    mean_cost: float = Field(ge=0, description="mean cost per test image")
    ood_detection: OodDetection | None

    @model_validator(mode="after")
    def _adds_up(self) -> SeveralDefects:
        defects = sum(result.images for result in self.classes)
        if not self.one_defect + 2 * self.several <= defects:
            raise ValueError("the images of the classes are fewer than the defects")
        return self

    @property
    def automatic(self) -> float:
        """Share of test images that are accepted automatically."""
        # Rounding keeps the float error of the difference from looking like a share.
        return max(0.0, round(1 - self.unsure.value - self.unknown.value, 9))
