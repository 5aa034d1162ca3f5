"""The measured facts of one trained model, as `report.json` holds them and the card shows them.

A report is checked when it is built and when it is read: a missing, unknown or non-finite value is
an error here, so that no card can show a blank.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from model_card.schema.base import Schema, Score
from model_card.schema.checksums import file_checksum, published_files, seal, unseal
from model_card.schema.localization import Localization
from model_card.schema.reliability import Reliability
from model_card.schema.robustness import Robustness

__all__ = [
    "ClassResult",
    "CrossValidation",
    "Data",
    "Epoch",
    "Export",
    "Figure",
    "Fold",
    "Leakage",
    "Machine",
    "Mistake",
    "Model",
    "Report",
    "RocCurve",
    "Schema",
    "Score",
    "Scores",
    "Setting",
    "SharedSurfaces",
    "SkippedImage",
    "Split",
    "TestResult",
    "Training",
    "UnseenTest",
]

REPORT_FILE = "report.json"


class Scores(Schema):
    """The seven measures, of all classes together (macro means) or of one against the rest."""

    accuracy: Score
    error_rate: Score
    sensitivity: Score
    specificity: Score
    precision: Score
    f1: Score
    auc: Score


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
    """How one class, against the rest, came out on the test images."""

    label: str
    images: int = Field(gt=0, description="test images whose true class this is")
    predicted: int = Field(ge=0, description="test images that the model called this class")
    scores: Scores
    roc: RocCurve


class Mistake(Schema):
    """One wrongly classified test image."""

    file: str = Field(description="path inside the data folder")
    label: str
    prediction: str
    confidence: float = Field(ge=0, le=1)


class TestResult(Schema):
    """Scores of the published folder on the test images, which were looked at once."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    images: int = Field(gt=0)
    scores: Scores
    classes: list[ClassResult]
    confusion: list[list[int]] = Field(description="rows: true class; columns: predicted class")
    mistakes: list[Mistake] = Field(description="all of them, the most confident first")
    images_per_second: float = Field(gt=0, description="reading, pre-processing and forward pass")

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
        return self


class Split(Schema):
    """One part of the data."""

    name: Literal["train", "validation", "test"]
    images: int = Field(ge=0)
    images_by_class: dict[str, int]
    origin: str = Field(description="half a sentence: how this part came about")

    @model_validator(mode="after")
    def _adds_up(self) -> Split:
        if sum(self.images_by_class.values()) != self.images:
            raise ValueError(f"the classes of {self.name} don't add up to {self.images} images")
        return self


class SkippedImage(Schema):
    """An image that was left out because it could not be read."""

    file: str
    reason: str


class Leakage(Schema):
    """Number of images of one split that show a piece of surface of an earlier split."""

    split: Literal["validation", "test"]
    seen_in: Literal["training", "training or validation"]
    images: int = Field(ge=0, description="of the split, that overlap one of the earlier split")
    of: int = Field(gt=0, description="images of the split")

    @property
    def share(self) -> float:
        """The fraction of the split's images."""
        return self.images / self.of


class SharedSurfaces(Schema):
    """Which of all images show the same piece of surface, and what the split made of it."""

    images: int = Field(gt=0)
    pairs: int = Field(ge=0, description="two images that overlap, as they are or turned")
    turned_pairs: int = Field(ge=0, description="those with a quarter turn or mirror image between")
    pairs_across_classes: int = Field(ge=0)
    sharing_images: int = Field(ge=0, description="images that overlap at least one other")
    groups: int = Field(gt=0, description="images joined by pairs; one alone is a group too")
    largest_group: int = Field(gt=0)
    leakage: list[Leakage]
    random_split_leakage: float = Field(
        ge=0, le=1, description="mean share of test images that leak from random splits this size"
    )


class Data(Schema):
    """Where the images came from and how they were divided."""

    source: str = Field(description="name of the folder, or id of the dataset on the Hub")
    kind: Literal["folder", "hub", "drawn"]
    streamed_images: int | None = Field(
        gt=0, description="at most so many images of each part were read; None: all of them"
    )
    splits: list[Split]
    seed: int
    division: Literal["given", "file", "grouped", "random"] = Field(
        description="how the test part was set apart: as the data came, as a split file said, by "
        "whole groups of shared surface, or at random"
    )
    surfaces: SharedSurfaces | None = Field(description="None: drawings, which share nothing")
    skipped: list[SkippedImage]
    smallest_px: tuple[int, int] = Field(description="width, height")
    largest_px: tuple[int, int] = Field(description="width, height")
    bit_depth: int = Field(
        default=16, ge=8, le=16, description="significant bits of samples of more than 8 bits"
    )
    images_shared: bool = Field(description="whether photographs are part of the published folder")

    @property
    def test_leakage(self) -> Leakage | None:
        """The leakage into the test part, None if there is none."""
        found = [e for e in (self.surfaces.leakage if self.surfaces else []) if e.split == "test"]
        return found[0] if found and found[0].images else None


class Model(Schema):
    """The network and where its first weights came from."""

    architecture: str = Field(description="timm's name, without the tag of pretrained weights")
    labels: list[str]
    parameters: int = Field(gt=0)
    trained_parameters: int = Field(gt=0)
    weights_origin: Literal["hub", "file", "random"]
    base_model: str | None = Field(description="Hub id of the base weights; None if not from there")
    weights_file: str | None = Field(description="name of the local file of base weights, if any")
    license: str | None = Field(description="Hub license id of the base weights; None: not known")
    input_size_px: int = Field(gt=0)
    resize: str = Field(description="timm's crop_mode: squash, center or border")
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    tiled: bool = Field(False, description="long images are cut into squares, one answer from all")


class Setting(Schema):
    """One resolved setting of the run, as its command line flag."""

    flag: str
    value: str
    default: str

    @property
    def differs(self) -> bool:
        """Whether the run departed from the default."""
        return self.value != self.default


class Epoch(Schema):
    """What one epoch of training came to; losses in nats."""

    epoch: int = Field(ge=1)
    lr: float = Field(ge=0)
    train_loss: float
    train_accuracy: float = Field(ge=0, le=1)
    validation_loss: float
    validation_accuracy: float = Field(ge=0, le=1)
    seconds: float = Field(ge=0)
    published: bool = Field(description="whether the published weights are those of this epoch")


class Training(Schema):
    """How the model was trained."""

    command: str = Field(description="the command line that repeats the run")
    settings: list[Setting]
    epochs: list[Epoch]
    stopped_early: bool
    weights_averaged: bool = Field(
        description="published weights are an exponential moving average"
    )

    @model_validator(mode="after")
    def _one_epoch_published(self) -> Training:
        if sum(epoch.published for epoch in self.epochs) != 1:
            raise ValueError("exactly one epoch must be marked as published")
        return self


class Machine(Schema):
    """Where and when the run took place."""

    processor: str
    cores: int = Field(gt=0)
    accelerator: str | None
    processes: int = Field(gt=0)
    precision: str
    started: str = Field(description="ISO 8601, UTC")
    training_seconds: float = Field(ge=0)
    versions: dict[str, str] = Field(description="package name → version, Python among them")


class Export(Schema):
    """Proof that the published folder computes what the trained model computed."""

    compared_images: int = Field(gt=0)
    largest_logit_difference: float = Field(ge=0)
    weights_bytes: int = Field(gt=0)
    files: dict[str, str] | None = Field(
        default=None,
        description="SHA-256 of each file of the published folder, but for report and card, as "
        "`write` finds them; None: an earlier version",
    )


class UnseenTest(Schema):
    """The score on those test images that show no surface of training or validation."""

    images: int = Field(gt=0)
    accuracy: Score


class Fold(Schema):
    """One training of a cross-validation, and its score on the fold that it did not see."""

    train_images: int = Field(gt=0)
    test_images: int = Field(gt=0)
    best_epoch: int = Field(ge=1)
    accuracy: Score


class CrossValidation(Schema):
    """The same recipe trained once a fold; each image was tested by a model that never saw it."""

    folds: list[Fold] = Field(min_length=2)
    mean_accuracy: float = Field(ge=0, le=1, description="mean of the folds")
    accuracy_deviation: float = Field(ge=0, description="standard deviation of the folds (n - 1)")
    all_images: TestResult = Field(description="the answers of all folds together")
    reliability: Reliability | None = Field(
        None, description="of all folds together; each image judged by rules of the other folds"
    )
    localization: Localization | None = Field(None, description="of all folds together")
    robustness: Robustness | None = Field(None, description="of all folds together")

    @model_validator(mode="after")
    def _adds_up(self) -> CrossValidation:
        if sum(fold.test_images for fold in self.folds) != self.all_images.images:
            raise ValueError("the folds don't add up to all images")
        return self


class Figure(Schema):
    """A picture in the published folder."""

    file: str = Field(description="path inside the published folder, with forward slashes")
    title: str
    alt: str = Field(description="what a reader who can't see the picture needs to know")


class Report(Schema):
    """Everything that is known of one trained model."""

    model: Model
    data: Data
    training: Training
    machine: Machine
    export: Export
    test: TestResult
    unseen_test: UnseenTest | None = Field(
        description="None: no test image repeats training, or each of them does"
    )
    cross_validation: CrossValidation | None = Field(
        description="of the same recipe; the published model is that of the first fold"
    )
    reliability: Reliability | None = Field(
        None, description="None: a model of an earlier version, published without a decision"
    )
    localization: Localization | None = Field(
        None, description="None: no boxes were given, or the network does not show its stages"
    )
    robustness: Robustness | None = Field(None, description="None: it was not tested")
    figures: list[Figure]

    @model_validator(mode="after")
    def _parts_agree(self) -> Report:
        if self.model.labels != [result.label for result in self.test.classes]:
            raise ValueError("model and test result don't name the same classes in the same order")
        tested = {result.label: result.images for result in self.test.classes}
        if [s.images_by_class for s in self.data.splits if s.name == "test"] != [tested]:
            raise ValueError("data and test result don't hold the same test images")
        return self

    def write(self, folder: Path) -> None:
        """Write `report.json` into `folder`, with checksums of it and of all that lies there."""
        files = {
            name: file_checksum(path)
            for name, path in published_files(folder)
            if name not in (REPORT_FILE, "README.md")
        }
        export = self.export.model_copy(update={"files": files})
        text = seal(self.model_copy(update={"export": export}).model_dump_json())
        partial = folder / f".{REPORT_FILE}.partial"
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(folder / REPORT_FILE)

    @classmethod
    def read(cls, folder: Path) -> Report:
        """Read `report.json` from `folder`.

        Raises:
            FileNotFoundError: the folder holds no report.
            pydantic.ValidationError: a fact is missing, unknown or out of range.
            ValueError: it is no JSON, or was changed after it was written.
        """
        return cls.model_validate(unseal((folder / REPORT_FILE).read_text(encoding="utf-8")))
