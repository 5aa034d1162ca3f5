"""Accuracy on each source of models that are trained on some of the sources only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from model_card.formatting import decimals_for, escaped, percent, percent_interval
from model_card.schema.base import Schema
from model_card.schema.report import Report
from model_card.schema.run.test_result import SourceResult
from trainer.runtime.files import replaced_whole

MATRIX_FILE = "sources.json"


class Training(Schema):
    """A model, and its accuracy on the test images of each source."""

    trained_on: list[str] = Field(description="names of sources")
    train_images: int = Field(gt=0)
    folder: str = Field(description="of the run, below the folder of the matrix")
    tests: list[SourceResult] = Field(description="of all sources, in the same order everywhere")


class SourceMatrix(Schema):
    """The content of `sources.json`."""

    command: str
    labels: list[str] = Field(description="classes that all sources have")
    left_out: dict[str, int] = Field(description="images of classes that a source lacks")
    folds: int = Field(ge=0, description="of each training; 0: one split")
    trainings: list[Training]

    def write(self, file: Path) -> Path:
        """Write `sources.json`, whole or not at all; return its path."""
        with replaced_whole(file) as partial:
            partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return file

    def markdown(self) -> str:
        """Return a table: a row for each training, a column for each tested source."""
        names = [escaped(test.source) for test in self.trainings[0].tests]
        rows = [
            f"| Trained on | Images | {' | '.join(f'Tested on {name}' for name in names)} |",
            f"| --- | ---: | {' | '.join('---:' for _ in names)} |",
        ]
        for training in self.trainings:
            cells = [_cell(test) for test in training.tests]
            sources = " + ".join(escaped(name) for name in training.trained_on)
            rows.append(f"| {sources} | {training.train_images:,} | {' | '.join(cells)} |")
        return "\n".join(rows)


def _cell(test: SourceResult) -> str:
    decimals = decimals_for(test.images)
    accuracy = test.accuracy
    return f"{percent(accuracy.value, decimals)} ({percent_interval(accuracy, decimals)})"


def source_matrix(
    trainings: Mapping[str, tuple[Sequence[str], Report]], command: str
) -> SourceMatrix:
    """Return the matrix of finished runs.

    Args:
        trainings: sources and report of each run, by its folder.
        command: that repeats them.
    """
    rows = []
    for folder, (sources, report) in trainings.items():
        folds = report.cross_validation
        tests = (folds.all_images if folds else report.test).sources
        train = next(split.images for split in report.data.splits if split.name == "train")
        rows.append(
            Training(trained_on=list(sources), train_images=train, folder=folder, tests=tests)
        )
    return SourceMatrix(
        command=command,
        labels=report.model.labels,
        left_out=report.data.unshared,
        folds=len(folds.folds) if folds else 0,
        trainings=rows,
    )
