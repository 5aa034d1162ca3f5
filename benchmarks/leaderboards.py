"""A comparison, or repeats side by side: `python -m benchmarks.leaderboards RUN… --json FILE`.

A claim of a leaderboard, that a network is better or worse than the baseline or not distinguishable
from it, is worth reporting if a repeat with other folds and other initial weights makes it, too.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence

import tyro

from benchmarks.table import Cell, Column, Table
from benchmarks.table import RunSettings as Settings
from trainer.comparison.leaderboard import LEADERBOARD_FILE, Leaderboard, Row
from trainer.comparison.page import VERDICTS

FIRST = (
    Column(title="Network", aligned_right=False),
    Column(title="Initial weights", aligned_right=False),
)
REPEAT = (
    Column(title="Accuracy, {}", format="{:.1%} ({:.1%}–{:.1%})"),
    Column(title="Difference, {}", format="{:+.1f}, p = {:.2g}"),
    Column(title="Claim, {}", aligned_right=False),
)
AGREEMENT = Column(title="The claims agree", aligned_right=False)
LAST = (
    Column(title="OOD AUROC", format="{:.3f}"),
    Column(title="Parameters, M", format="{:.1f}"),
    Column(title="GMACs", format="{:.2f}"),
)


def main(settings: Settings) -> None:
    """Print the table, and write it as JSON."""
    boards = [
        Leaderboard.model_validate_json((run / LEADERBOARD_FILE).read_bytes())
        for run in settings.runs
    ]
    found = table(boards, settings.commands)
    print(found.markdown())
    if settings.json:
        found.write(settings.json)


def table(boards: Sequence[Leaderboard], commands: Sequence[str] = ()) -> Table:
    """Return a row per network, in the order of the first leaderboard.

    Raises:
        SystemExit: the comparisons are not of the same networks, baseline and images.
    """
    first = boards[0]
    compared = {(b.baseline, b.images, frozenset(row.model for row in b.rows)) for b in boards}
    if len(compared) > 1:
        raise SystemExit("These comparisons are not of the same networks, baseline and images.")
    repeated = len(boards) > 1
    names = [f"run {number}" for number in range(1, len(boards) + 1)] if repeated else [""]
    titled = [
        column.model_copy(update={"title": column.title.format(name).removesuffix(", ")})
        for name in names
        for column in REPEAT
    ]
    rows = [
        _cells([next(row for row in board.rows if row.model == each.model) for board in boards])
        for each in first.rows
    ]
    return Table(
        commands=tuple(commands),
        machine=f"{first.processor}, {first.cores} cores",
        dates=(datetime.date.today(),),
        versions={"python": platform.python_version()},
        conditions=f"{first.images:,} images of {first.groups} pieces of surface, {first.folds} "
        f"grouped folds; differences in points to {first.baseline}, p-values adjusted by Holm's "
        f"method; {'AUROC and size of run 1; ' if repeated else ''}the other programs of the "
        "machine kept running",
        columns=(*FIRST, *titled, *([AGREEMENT] if repeated else []), *LAST),
        rows=tuple(rows),
    )


def _cells(repeats: list[Row]) -> tuple[Cell, ...]:
    row = repeats[0]
    cells: list[Cell] = [f"`{row.model}`", row.initial_weights]
    for each in repeats:
        gap = each.difference
        cells += [
            (each.accuracy.value, each.accuracy.low, each.accuracy.high),
            (100 * gap.value, gap.p_value) if gap else None,
            VERDICTS[gap.verdict] if gap else "baseline",
        ]
    if len(repeats) > 1:
        agree = "yes" if len({each.verdict for each in repeats}) == 1 else "no"
        cells.append(agree if row.difference else None)
    return (
        *cells,
        row.ood_auroc,
        row.parameters / 1e6,
        row.cost.gmacs,
    )


if __name__ == "__main__":
    main(tyro.cli(Settings))
