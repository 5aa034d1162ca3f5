"""Training on some sources, tested on all: `python -m benchmarks.sources RUN… --json FILE`.

A run is a folder of `compare_splits.py --leave-source-out`.
"""

from __future__ import annotations

import datetime
import platform
from pathlib import Path

import tyro

from benchmarks.table import Cell, Column, Table
from benchmarks.table import RunSettings as Settings
from model_card.schema.report import Report
from trainer.comparison.source_matrix import MATRIX_FILE, SourceMatrix

SHARE = "{:.1%} ({:.1%}–{:.1%})"


def main(settings: Settings) -> None:
    """Print the table, and write it as JSON."""
    found = table(settings)
    print(found.markdown())
    if settings.json:
        found.write(settings.json)


def table(settings: Settings) -> Table:
    """Return a row per training, a column per tested source.

    Raises:
        SystemExit: the runs are of different sources.
    """
    matrices = {
        run: SourceMatrix.model_validate_json((run / MATRIX_FILE).read_bytes())
        for run in settings.runs
    }
    names = {tuple(t.source for t in each.trainings[0].tests) for each in matrices.values()}
    if len(names) != 1:
        raise SystemExit("These runs were not tested on the same sources.")
    report = _report(next(iter(matrices)), next(iter(matrices.values())))
    machine = report.machine
    return Table(
        commands=settings.commands,
        machine=f"{machine.processor}, {machine.cores} cores",
        dates=(datetime.date.today(),),
        versions={"python": platform.python_version(), "torch": machine.versions["torch"]},
        conditions="test images of all sources; 95 % intervals by piece of surface",
        columns=(
            Column(title="Network", aligned_right=False),
            Column(title="Trained on", aligned_right=False),
            Column(title="Training images", format="{:,}"),
            *(Column(title=f"Tested on {name}", format=SHARE) for name in names.pop()),
        ),
        rows=tuple(row for run, matrix in matrices.items() for row in _rows(run, matrix)),
    )


def _report(run: Path, matrix: SourceMatrix) -> Report:
    return Report.read(run / matrix.trainings[0].folder / "published")


def _rows(run: Path, matrix: SourceMatrix) -> list[tuple[Cell, ...]]:
    model = _report(run, matrix).model
    return [
        (
            f"`{model.architecture}`, {model.input_size_px} px",
            " + ".join(training.trained_on),
            training.train_images,
            *((t.accuracy.value, t.accuracy.low, t.accuracy.high) for t in training.tests),
        )
        for training in matrix.trainings
    ]


if __name__ == "__main__":
    main(tyro.cli(Settings))
