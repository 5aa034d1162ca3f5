"""The passports of exported runs as a table: `python -m benchmarks.passports RUN… --json FILE`."""

from __future__ import annotations

import datetime
import platform

import tyro

from benchmarks.table import Cell, Column, Table
from benchmarks.table import RunSettings as Settings
from model_card.schema.exports import FormatPassport
from model_card.schema.report import Report

COLUMNS = (
    Column(title="Network and format", aligned_right=False),
    Column(title="MB", format="{:.1f}"),
    Column(title="ms, batch 1 / 16", format="{:.1f} / {:.1f}"),
    Column(title="Accuracy", format="{:.1%}"),
    Column(title="ECE", format="{:.2%}"),
    Column(title="Coverage", format="{:.1%}"),
    Column(title="OOD AUROC", format="{:.4f}"),
    Column(title="Same decision", format="{:.2%}"),
    Column(title="Largest logit difference", format="{:.2g}"),
    Column(title="Published", aligned_right=False),
)


def main(settings: Settings) -> None:
    """Print the passports of all runs, and write them as JSON."""
    rows: list[tuple[Cell, ...]] = []
    machine = ""
    for run in settings.runs:
        report = Report.read(run / "published")
        if report.exports is None:
            raise SystemExit(f"{run} has no exported files: run trainer/export.py --run-dir {run}")
        machine = f"{report.exports.processor}, {report.exports.cores} cores"
        network = f"`{report.model.architecture}`, {report.model.input_size_px} px"
        rows += [row(network, passport) for passport in report.exports.formats]
    table = Table(
        commands=settings.commands,
        machine=machine,
        dates=(datetime.date.today(),),
        versions={"python": platform.python_version()},
        conditions="the network alone; the other programs of the machine kept running",
        columns=COLUMNS,
        rows=tuple(rows),
    )
    print(table.markdown())
    if settings.json:
        table.write(settings.json)


def row(network: str, passport: FormatPassport) -> tuple[Cell, ...]:
    """Return the row of a format."""
    published = "yes"
    if passport.refused:
        published = f"no: {passport.refused}"
    elif passport.slower:
        published = f"yes: {passport.slower}"
    return (
        f"{network}: {passport.title} ({passport.engine})",
        passport.size_bytes / 1e6,
        (passport.ms_one, passport.ms_sixteen),
        passport.accuracy.value,
        passport.calibration_error,
        passport.coverage.value if passport.coverage else None,
        passport.ood_auroc,
        passport.same_decision,
        passport.largest_logit_difference,
        published,
    )


if __name__ == "__main__":
    main(tyro.cli(Settings))
