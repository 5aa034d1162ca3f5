"""The measured values of `report.json` that the page shows; some reports lack some."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

MAX_METRICS = 100
MAX_CLASSES = 2000
MAX_POINTS = 100_000
Words = Annotated[str, Field(max_length=2000)]
Share = Annotated[float, Field(ge=0, le=1)]


class Score(BaseModel):
    """A measured value with its 95 % interval, all as fractions of 1."""

    value: Share
    low: Share
    high: Share


Scores = Annotated[dict[Words, Score], Field(max_length=MAX_METRICS)]


class ClassResult(BaseModel):
    """Scores of one class against the rest."""

    label: Words
    images: int = Field(gt=0)
    scores: Scores


class Mistake(BaseModel):
    """A test image that was classified incorrectly."""

    file: Words
    label: Words
    prediction: Words
    confidence: Share


class Confusion(BaseModel):
    """How often one class was taken for another."""

    label: str
    prediction: str
    count: int
    images: int


class TestResult(BaseModel):
    """Scores on images that were not used for training.

    Attributes:
        images: number of them.
        scores: of all classes together, by the name of the metric.
        classes: of each class.
        confusion: rows are true classes, columns predicted ones; empty if it is unknown.
        mistakes: the most confident first.
    """

    __test__ = False  # not a test case, whatever pytest thinks of the name

    images: int = Field(gt=0)
    scores: Scores
    classes: list[ClassResult] = Field(default=[], max_length=MAX_CLASSES)
    confusion: list[list[Annotated[int, Field(ge=0)]]] = Field(default=[], max_length=MAX_CLASSES)
    mistakes: list[Mistake] = Field(default=[], max_length=MAX_POINTS)

    @property
    def accuracy(self) -> Score | None:
        """Share of images classified correctly, if it was measured."""
        return self.scores.get("accuracy")

    @property
    def confusions(self) -> list[Confusion]:
        """The confusions of two classes, the most frequent first."""
        found = [
            Confusion(label=of.label, prediction=to.label, count=count, images=of.images)
            for of, row in zip(self.classes, self.confusion, strict=False)
            for to, count in zip(self.classes, row, strict=False)
            if count and of is not to
        ]
        return sorted(found, key=lambda each: -each.count)


class Agreement(BaseModel):
    """How well confidence agrees with accuracy."""

    ece: float = Field(ge=0, le=1, description="expected calibration error")
    ece_by_chance: float = Field(ge=0, le=1, description="of perfect calibration, same sample size")


class Calibration(BaseModel):
    """Agreement on the test images before and after temperature scaling."""

    before: Agreement
    after: Agreement

    @property
    def holds(self) -> bool:
        """Whether the confidence is calibrated, as far as the test images show."""
        after = self.after
        return after.ece <= self.before.ece and after.ece <= max(0.02, 2 * after.ece_by_chance)


class OodKind(BaseModel):
    """Detection of one kind of unknown surface."""

    kind: Words
    images: int = Field(gt=0)
    rejected: Score


class OodDetection(BaseModel):
    """Detection of unknown surfaces."""

    kinds: list[OodKind] = Field(min_length=1, max_length=MAX_METRICS)

    @property
    def hardest(self) -> OodKind:
        """The kind that is detected least often."""
        return min(self.kinds, key=lambda kind: kind.rejected.value)


class RiskCoverage(BaseModel):
    """Error rate of the most confident test images, for every share of them."""

    coverage: list[Share] = Field(max_length=MAX_POINTS)
    risk: list[Share] = Field(max_length=MAX_POINTS)


class OperatingPoint(BaseModel):
    """Which answers are accepted automatically."""

    unsure: Score
    unknown: Score
    automatic_accuracy: Score | None
    curve: RiskCoverage

    @property
    def automatic(self) -> float:
        """Share of test images that are accepted automatically."""
        # Rounding keeps the float error of the difference from looking like a share.
        return max(0.0, round(1 - self.unsure.value - self.unknown.value, 9))


class MissedDefects(BaseModel):
    """Defects that are ruled out; None promises nothing."""

    promised: Share | None
    groups: int = Field(gt=0, description="pieces of surface")
    share: Score


class SeveralDefects(BaseModel):
    """Results of a model that names several defects of an image."""

    calibration: Calibration
    exact: Score
    several: int = Field(ge=0, description="images of several defects")
    second_named: Score
    missed: MissedDefects
    unsure: Score
    unknown: Score
    ood_detection: OodDetection | None = None

    @property
    def automatic(self) -> float:
        """Share of test images that are accepted automatically."""
        return max(0.0, round(1 - self.unsure.value - self.unknown.value, 9))


class Reliability(BaseModel):
    """Reliability of the confidence, and what is done with it."""

    calibration: Calibration
    ood_detection: OodDetection | None = None
    operating_point: OperatingPoint | None = None
