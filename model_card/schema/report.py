"""Report of one trained model, stored as `report.json` and shown by the card.

A report is validated when it is built and when it is read: a missing, unknown or non-finite value
is an error, so no card can show a blank.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from model_card.metrics import METRICS, Metric
from model_card.schema.base import Schema, Score
from model_card.schema.checks import Checks
from model_card.schema.checksums import file_checksum, published_files, seal, unseal
from model_card.schema.comparison import Comparison
from model_card.schema.exports import Exports, FormatPassport
from model_card.schema.reliability import Reliability

__all__ = [
    "ClassResult",
    "Comparison",
    "CrossValidation",
    "Data",
    "Epoch",
    "Export",
    "Exports",
    "Feedback",
    "Figure",
    "Fold",
    "FormatPassport",
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
# Metrics that card, figures and commands refer to by name.
NAMED_METRICS = {"accuracy", "error_rate", "sensitivity", "f1", "auc"}


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
    """One split of the data."""

    name: Literal["train", "validation", "test"]
    images: int = Field(ge=0)
    images_by_class: dict[str, int]
    origin: str = Field(description="how the split was made, as half a sentence")
    fingerprints: list[int] | None = Field(
        None,
        description="first 48 bits of the SHA-256 of each image, sorted, by which a later model "
        "finds out what this one was trained on; None: written by an earlier version",
    )

    @model_validator(mode="after")
    def _adds_up(self) -> Split:
        if sum(self.images_by_class.values()) != self.images:
            raise ValueError(f"the classes of {self.name} don't add up to {self.images} images")
        return self


class SkippedImage(Schema):
    """An image that could not be read and was left out."""

    file: str
    reason: str


class Leakage(Schema):
    """Images of one split that show a piece of surface of an earlier split."""

    split: Literal["validation", "test"]
    seen_in: Literal["training", "training or validation"]
    images: int = Field(
        ge=0, description="images of the split that overlap one of the earlier split"
    )
    of: int = Field(gt=0, description="images of the split")

    @property
    def share(self) -> float:
        """Share of the images of the split."""
        return self.images / self.of


class SharedSurfaces(Schema):
    """Images that show the same piece of surface, and leakage between the splits."""

    images: int = Field(gt=0)
    pairs: int = Field(ge=0, description="pairs of images that overlap in any orientation")
    turned_pairs: int = Field(ge=0, description="pairs of rotated or mirrored images")
    pairs_across_classes: int = Field(ge=0)
    sharing_images: int = Field(ge=0, description="images that overlap at least one other")
    groups: int = Field(gt=0, description="groups of overlapping images, including single images")
    largest_group: int = Field(gt=0)
    leakage: list[Leakage]
    random_split_leakage: float = Field(
        ge=0, le=1, description="mean leakage of random test splits of the same size"
    )


class Feedback(Schema):
    """Corrections of a web page, and which of the images joined the training split.

    An image of several reasons to be left out counts for the first one that applies, in the order
    of the fields.
    """

    corrections: int = Field(gt=0, description="that count; of one visit and image, the last one")
    superseded: int = Field(ge=0, description="corrections that their visitors replaced")
    images: int = Field(ge=0, description="corrected images that can be read")
    taken: dict[str, int] = Field(description="images that joined the training split, by class")
    without_class: dict[str, int] = Field(
        description="images of several defects, of none of the classes, or not usable"
    )
    unknown_classes: dict[str, int] = Field(description="images of classes that the data lack")
    overlapping: int = Field(
        ge=0, description="images that share surface with a validation or test image"
    )
    contradicting: list[str] = Field(
        description="images whose corrections, or images of the same surface, disagree"
    )
    known: int = Field(ge=0, description="copies of training images")
    damaged: list[SkippedImage]

    def left_out(self) -> list[str]:
        """Return a line on each reason for which images did not join."""
        reasons = [
            (self.overlapping, "share surface with a validation or test image"),
            (
                len(self.contradicting),
                "contradict another correction, or a training image of the same surface: "
                + _first(self.contradicting),
            ),
            *((number, f"show {words}") for words, number in self.without_class.items()),
            *(
                (number, f"are called {label}, which is no class of the data")
                for label, number in self.unknown_classes.items()
            ),
            (self.known, "are copies of training images"),
            (
                len(self.damaged),
                "can't be used: " + _first([f"{bad.file} ({bad.reason})" for bad in self.damaged]),
            ),
        ]
        return [f"{number:,} that {words}" for number, words in reasons if number]


def _first(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if names[5:] else "")


class Data(Schema):
    """Source of the images and their splits."""

    source: str = Field(description="name of the folder, or id of the dataset on the Hub")
    kind: str = Field(description="folder, hub, drawn, or a kind that was added later")
    origin: str = Field(
        default_factory=lambda facts: f"The images come from {facts['source']}.",
        description="sentence on where the images come from",
    )
    streamed_images: int | None = Field(
        gt=0, description="largest number of images read of each split; None: all"
    )
    splits: list[Split]
    seed: int
    division: Literal["given", "file", "grouped", "random"] = Field(
        description="how the test split was made: as the data came, by a split file, by groups of "
        "overlapping images, or at random"
    )
    surfaces: SharedSurfaces | None = Field(
        description="None: synthetic images, which do not overlap"
    )
    skipped: list[SkippedImage]
    smallest_px: tuple[int, int] = Field(description="width, height")
    largest_px: tuple[int, int] = Field(description="width, height")
    bit_depth: int = Field(
        default=16, ge=8, le=16, description="significant bits of samples of more than 8 bits"
    )
    images_shared: bool = Field(description="whether photographs are part of the published folder")
    feedback: Feedback | None = Field(
        default=None, description="corrections of a web page; None: none were used"
    )

    @property
    def test_leakage(self) -> Leakage | None:
        """The leakage into the test split, None if there is none."""
        found = [e for e in (self.surfaces.leakage if self.surfaces else []) if e.split == "test"]
        return found[0] if found and found[0].images else None


class Model(Schema):
    """The network and the origin of its initial weights."""

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
    tiled: bool = Field(
        False, description="long images are cut into square tiles and their logits pooled"
    )


class Setting(Schema):
    """One resolved setting of the run, as its command line flag."""

    flag: str
    value: str
    default: str

    @property
    def differs(self) -> bool:
        """Whether the value differs from the default."""
        return self.value != self.default


class Epoch(Schema):
    """Results of one epoch of training; losses in nats."""

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

    command: str = Field(description="command line that repeats the run")
    settings: list[Setting]
    epochs: list[Epoch]
    epoch_choice: Literal["best", "last"] | None = Field(
        None,
        description="published epoch: the best by validation score, or the last; None: not "
        "recorded by an earlier version",
    )
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
    """Hardware, software and time of the run."""

    processor: str
    cores: int = Field(gt=0)
    accelerator: str | None
    processes: int = Field(gt=0)
    precision: str
    started: str = Field(description="ISO 8601, UTC")
    training_seconds: float = Field(ge=0)
    versions: dict[str, str] = Field(description="package name → version, including Python")
    code_url: str | None = Field(None, description="repository of the training code, if known")


class Export(Schema):
    """Comparison of the published folder with the trained model."""

    compared_images: int = Field(gt=0)
    largest_logit_difference: float = Field(ge=0)
    weights_bytes: int = Field(gt=0)
    files: dict[str, str] | None = Field(
        default=None,
        description="SHA-256 of each file of the published folder except report and card, added by "
        "`write`; None: written by an earlier version",
    )


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

    @model_validator(mode="after")
    def _adds_up(self) -> CrossValidation:
        if sum(fold.test_images for fold in self.folds) != self.all_images.images:
            raise ValueError("the folds don't add up to all images")
        return self


class Figure(Schema):
    """A figure in the published folder."""

    file: str = Field(description="path inside the published folder, with forward slashes")
    title: str
    alt: str = Field(description="alternative text for screen readers")


def _described(facts: dict[str, Any]) -> list[Metric]:
    """Return the metrics of a report that does not describe them."""
    return [METRICS[name] for name in facts["test"].scores if name in METRICS]


class Report(Checks):
    """All measured values of one trained model."""

    model: Model
    data: Data
    training: Training
    machine: Machine
    export: Export
    test: TestResult
    metrics: list[Metric] = Field(
        default_factory=_described,
        description="the metrics of all scores, in their order; absent in earlier versions",
    )
    unseen_test: UnseenTest | None = Field(
        description="None: no test image overlaps training, or all of them do"
    )
    cross_validation: CrossValidation | None = Field(
        description="of the same recipe; the published model is that of the first fold"
    )
    reliability: Reliability | None = Field(
        None, description="None: published by an earlier version, without decision rules"
    )
    exports: Exports | None = Field(
        None, description="None: no file for machines without PyTorch was exported"
    )
    comparison: Comparison | None = Field(
        None, description="with the published model that this one replaced; None: there was none"
    )
    figures: list[Figure]

    @model_validator(mode="after")
    def _parts_agree(self) -> Report:
        if self.model.labels != [result.label for result in self.test.classes]:
            raise ValueError("model and test result don't name the same classes in the same order")
        tested = {result.label: result.images for result in self.test.classes}
        if [s.images_by_class for s in self.data.splits if s.name == "test"] != [tested]:
            raise ValueError("data and test result don't hold the same test images")
        return self

    @model_validator(mode="after")
    def _metrics_are_those_of_the_scores(self) -> Report:
        names = [metric.name for metric in self.metrics]
        tests = [self.test, *([self.cross_validation.all_images] if self.cross_validation else [])]
        for test in tests:
            for scores in (test.scores, *(result.scores for result in test.classes)):
                if scores.keys() != set(names):
                    raise ValueError(f"scores are {', '.join(scores)}, metrics {', '.join(names)}")
        if missing := NAMED_METRICS - set(names):
            raise ValueError(f"there is no score named {', '.join(sorted(missing))}")
        return self

    def write(self, folder: Path) -> None:
        """Write `report.json` into `folder`, with checksums of itself and of all files there."""
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
            FileNotFoundError: the folder has no report.
            pydantic.ValidationError: a value is missing, unknown or out of range.
            ValueError: the file is not JSON, or was changed after it was written.
        """
        return cls.model_validate(unseal((folder / REPORT_FILE).read_text(encoding="utf-8")))
