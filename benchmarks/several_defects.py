"""Runs with --multi-label side by side: `python -m benchmarks.several_defects RUN… --json FILE`."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence

import tyro

from benchmarks.table import Cell, Column, Table
from benchmarks.table import RunSettings as Settings
from model_card.schema.base import Score
from model_card.schema.reliability import SeveralDefects
from model_card.schema.report import Report

Share = tuple[float, float, float]
SHARE = "{:.1%} ({:.1%}–{:.1%})"


def main(settings: Settings) -> None:
    """Print what the runs reached on their test split, and write it as JSON."""
    found = table([Report.read(run / "published") for run in settings.runs], settings.commands)
    print(found.markdown())
    if settings.json:
        found.write(settings.json)


def table(reports: Sequence[Report], commands: Sequence[str]) -> Table:
    """Return a column per run.

    Raises:
        SystemExit: a run names one class of each image, or the test images differ.
    """
    columns = [_measures(report) for report in reports]
    titles = [f"{report.model.architecture}, {_trained(report)}" for report in reports]
    if any(column.keys() != columns[0].keys() for column in columns):
        raise SystemExit("These runs were not tested on the same images.")
    machine = reports[0].machine
    return Table(
        commands=tuple(commands),
        machine=f"{machine.processor}, {machine.cores} cores",
        dates=(datetime.date.today(),),
        versions={"python": platform.python_version(), "torch": machine.versions["torch"]},
        conditions=f"{_tested(reports[0])}; 95 % intervals by piece of surface",
        columns=(
            Column(title="Measure", aligned_right=False),
            *(Column(title=title, format=SHARE) for title in titles),
        ),
        rows=tuple((measure, *(column[measure] for column in columns)) for measure in columns[0]),
    )


def _trained(report: Report) -> str:
    whole = report.model.trained_parameters == report.model.parameters
    layers = "all layers" if whole else "head alone"
    folds = f", {len(report.cross_validation.folds)} folds" if report.cross_validation else ""
    return f"{layers}, {report.model.input_size_px} px{folds}"


def _tested(report: Report) -> str:
    if report.cross_validation:
        return "all images, each tested by a fold that has not seen its piece"
    return "test split"


def _found(report: Report) -> SeveralDefects | None:
    """Return what all folds found together, or the test split."""
    return (report.cross_validation or report).several_defects


def _measures(report: Report) -> dict[str, Cell]:
    found = _found(report)
    if found is None:
        raise SystemExit("A run names one class of each image: train it with --multi-label.")
    missed = found.missed
    promise = f"at most {missed.promised:.0%} promised, " if missed.promised else ""
    return {
        f"Images with one defect ({found.one_defect}): exactly it is named": _share(
            found.one_exact
        ),
        f"Images with several ({found.several}): a second defect is named": _share(
            found.second_named
        ),
        "… is named or left to a person": _share(found.second_possible),
        "All images: exactly their defects are named": _share(found.exact),
        "Passed to a person as unsure": _share(found.unsure),
        "Automatic answers: exactly the defects are named": _share(found.automatic_exact),
        f"Ruled-out share of a piece's defects ({promise}mean of {missed.groups} pieces)": _share(
            missed.share
        ),
        "Ruled-out share of all defects": _share(missed.of_all),
        "Mean average precision": f"{found.mean_average_precision:.3f}",
    }


def _share(score: Score | None) -> Share | None:
    return (score.value, score.low, score.high) if score else None


if __name__ == "__main__":
    main(tyro.cli(Settings))
