"""What searches of `tune.py` gained: `python -m benchmarks.tuned_recipe RUN… --json FILE`."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence

import torch
import tyro

from benchmarks.table import Cell, Column, Table
from benchmarks.table import RunSettings as Settings
from trainer.runtime import system
from trainer.tuning.report import REPORT_FILE, TuningReport
from trainer.tuning.tuner import described

SHARE = "{:.1%} ({:.1%}–{:.1%})"
COLUMNS = (
    Column(title="Search", aligned_right=False),
    Column(title="Trials (pruned)", format="{} ({})"),
    Column(title="Images of the check", format="{:,}"),
    Column(title="Preset", format=SHARE),
    Column(title="Tuned", format=SHARE),
    Column(title="Difference, points", format="{:+.2f} ({:+.2f} to {:+.2f}), p = {:.2g}"),
    Column(title="Cross entropy gained, nats", format="{:+.4f} ({:+.4f} to {:+.4f})"),
)


def main(settings: Settings) -> None:
    """Print the table, and write it as JSON."""
    found = table(
        [
            TuningReport.model_validate_json((run / REPORT_FILE).read_bytes())
            for run in settings.runs
        ],
        settings.commands,
    )
    print(found.markdown())
    if settings.json:
        found.write(settings.json)


def table(reports: Sequence[TuningReport], commands: Sequence[str]) -> Table:
    """Return a row per search; the machine is this one."""
    return Table(
        commands=tuple(commands),
        machine=f"{system.processor_name()}, {system.core_count()} cores",
        dates=(datetime.date.today(),),
        versions={"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
        conditions="95 % intervals by piece of surface, on folds that no trial validated on",
        columns=COLUMNS,
        rows=tuple(_cells(report) for report in reports),
    )


def _cells(report: TuningReport) -> tuple[Cell, ...]:
    gap, gain = report.difference, report.loss_gain
    return (
        described(report.parameters),
        (report.trials, report.pruned),
        report.images,
        (report.preset.value, report.preset.low, report.preset.high),
        (report.tuned.value, report.tuned.low, report.tuned.high),
        (100 * gap.value, 100 * gap.low, 100 * gap.high, gap.p_value),
        (gain.value, gain.low, gain.high),
    )


if __name__ == "__main__":
    main(tyro.cli(Settings))
