"""Scores of a model on its test images, or on all folds of a cross-validation."""

from __future__ import annotations

from pydantic import Field, model_validator

from model_card.schema.base import Schema, Score
from model_card.schema.checks import Checks
from model_card.schema.reliability import Reliability, SeveralDefects

# By the names of `Report.metrics`: of all classes together, or of one class against the rest.
Scores = dict[str, Score]


class RocCurve(Schema):
    """Points of a ROC curve, from (0, 0) to (1, 1); both lists have the same length."""

    false_positive_rate: list[float]
    true_positive_rate: list[float]

    @model_validator(mode="after")
    def _same_length(self) -> RocCurve:
        if len(self.false_positive_rate) != len(self.true_positive_rate):
            raise ValueError("a ROC curve needs as many true as false positive rates")
        return self


class ClassResult(Schema):
    """Test result of one class against the rest."""

    label: str
    images: int = Field(gt=0, description="test images of this class")
    predicted: int = Field(ge=0, description="test images predicted as this class")
    scores: Scores = Field(description="of the class against the rest, by the name of the metric")
    roc: RocCurve


class Mistake(Schema):
    """A misclassified test image."""

    file: str = Field(description="path inside the data folder")
    label: str
    prediction: str
    confidence: float = Field(ge=0, le=1)


class SourceResult(Schema):
    """Accuracy on the test images of one source."""

    source: str
    images: int = Field(gt=0)
    accuracy: Score = Field(description="images of the same surface count less than others")


class TestResult(Schema):
    """Scores of the published model on the test images, which are used only once."""

    __test__ = False  # not a test case, in spite of its name

    images: int = Field(gt=0)
    scores: Scores = Field(description="of all classes together, by the name of the metric")
    classes: list[ClassResult]
    confusion: list[list[int]] = Field(description="rows: true class; columns: predicted class")
    mistakes: list[Mistake] = Field(description="all of them, the most confident first")
    images_per_second: float = Field(gt=0, description="reading, pre-processing and forward pass")
    engine: str | None = Field(
        default=None,
        description="library that ran the network; null: not recorded by an earlier version",
    )
    sources: list[SourceResult] = Field(default=[], description="empty: there is one source")

    @model_validator(mode="after")
    def _adds_up(self) -> TestResult:
        rows = [sum(row) for row in self.confusion]
        columns = [sum(column) for column in zip(*self.confusion, strict=True)]
        right = sum(row[i] for i, row in enumerate(self.confusion))
        if rows != [result.images for result in self.classes]:
            raise ValueError("the rows of the confusion matrix don't add up to the classes' images")
        if columns != [result.predicted for result in self.classes]:
            raise ValueError("its columns don't add up to how often each class was predicted")
        if self.images != sum(rows) or len(self.mistakes) != self.images - right:
            raise ValueError("images, confusion matrix and mistakes contradict each other")
        if self.sources and sum(each.images for each in self.sources) != self.images:
            raise ValueError("the sources don't add up to the images")
        return self


class UnseenTest(Schema):
    """Accuracy on test images that do not overlap training or validation images."""

    images: int = Field(gt=0)
    accuracy: Score


class Fold(Schema):
    """One training of a cross-validation and its accuracy on the held-out fold."""

    train_images: int = Field(gt=0)
    test_images: int = Field(gt=0)
    best_epoch: int = Field(ge=1)
    accuracy: Score


class CrossValidation(Checks):
    """One recipe trained once per fold; each image is tested by a model that has not seen it."""

    folds: list[Fold] = Field(min_length=2)
    mean_accuracy: float = Field(ge=0, le=1, description="mean of the folds")
    accuracy_deviation: float = Field(ge=0, description="standard deviation of the folds (n - 1)")
    all_images: TestResult = Field(description="predictions of all folds together")
    reliability: Reliability | None = Field(
        None, description="of all folds; decision rules are fitted to the other folds"
    )

    several_defects: SeveralDefects | None = Field(
        None, description="the same of a model that names several defects of an image"
    )

    @model_validator(mode="after")
    def _adds_up(self) -> CrossValidation:
        if sum(fold.test_images for fold in self.folds) != self.all_images.images:
            raise ValueError("the folds don't add up to all images")
        return self
