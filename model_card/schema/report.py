"""Report of one trained model, stored as `report.json` and shown by the card.

A report is validated when it is built and when it is read: a missing, unknown or non-finite value
is an error, so no card can show a blank.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from model_card.metrics import METRICS, Metric
from model_card.schema.base import Schema
from model_card.schema.checks import Checks
from model_card.schema.checksums import file_checksum, published_files, seal, unseal
from model_card.schema.comparison import Comparison
from model_card.schema.exports import Exports
from model_card.schema.reliability import Reliability, SeveralDefects
from model_card.schema.run.data import Data
from model_card.schema.run.test_result import CrossValidation, TestResult, UnseenTest
from model_card.schema.run.training import Machine, Model, Training

REPORT_FILE = "report.json"
# Metrics that card, figures and commands refer to by name.
NAMED_METRICS = {"accuracy", "error_rate", "sensitivity", "f1", "auc"}


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
        None,
        description="None: published by an earlier version, without decision rules, or a model "
        "that names several defects",
    )
    several_defects: SeveralDefects | None = Field(
        None, description="None: the model names one class of each image"
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
