"""The leaderboard as Markdown and as one self-contained web page."""

from __future__ import annotations

from pathlib import Path

from model_card.formatting import (
    counted,
    decimals_for,
    duration,
    enumeration,
    escaped,
    interval,
    number,
)
from trainer.comparison.leaderboard import LEADERBOARD_FILE, Leaderboard, Row
from trainer.runtime.files import replaced_whole
from trainer.text.web_page import environment

PAGE_FILE = "index.html"
MARKDOWN_FILE = "comparison.md"
HEADINGS = (
    *("Network", "Initial weights", "Accuracy, %", "95 % interval", "Difference, points"),
    *("p (Holm)", "Verdict"),
    *("ECE, %", "OOD AUROC", "Worst corruption", "Parameters, M", "GMACs", "ms an image"),
    *("Training", "License"),
)
IN_WORDS = ("Network", "Initial weights", "Verdict", "Worst corruption", "License")
# The page shows two tables, which fit a screen.
ACCURACY_COLUMNS, COST_COLUMNS = range(1, 7), range(7, len(HEADINGS))
VERDICTS = {"better": "better", "equal": "not distinguishable", "worse": "worse"}
NONE = "–"


def write_pages(board: Leaderboard, folder: Path) -> None:
    """Write `comparison.md` and `index.html`, each whole or not at all."""
    with replaced_whole(folder / MARKDOWN_FILE) as partial:
        partial.write_text(markdown(board), encoding="utf-8")
    template = environment(__package__ or "").get_template("page.html.jinja")
    page = template.render(
        board=board,
        headings=HEADINGS,
        in_words=IN_WORDS,
        accuracy_columns=ACCURACY_COLUMNS,
        cost_columns=COST_COLUMNS,
        rows=[(cells(row, board), _bar(row, board)) for row in board.rows],
        summary=summary(board),
        notes=notes(board),
        leaderboard_file=LEADERBOARD_FILE,
    )
    with replaced_whole(folder / PAGE_FILE) as partial:
        partial.write_text(page, encoding="utf-8")


def markdown(board: Leaderboard) -> str:
    """Return summary, table and notes as Markdown."""
    lines = [
        summary(board),
        "",
        f"| {' | '.join(HEADINGS)} |",
        f"| {' | '.join('---' if title in IN_WORDS else '---:' for title in HEADINGS)} |",
        *(f"| {' | '.join(map(escaped, cells(row, board)))} |" for row in board.rows),
        "",
        *(f"- {escaped(note)}" for note in notes(board)),
    ]
    return "\n".join(lines) + "\n"


def cells(row: Row, board: Leaderboard) -> list[str]:
    """Return the cells of a network, in the order of `HEADINGS`."""
    decimals = decimals_for(board.images)
    gap, worst = row.difference, row.worst_corruption
    return [
        row.model,
        "Hub" if row.initial_weights == "hub" else row.initial_weights,
        number(row.accuracy.value, decimals),
        interval(row.accuracy, decimals),
        f"{_points(gap.value)} ({_points(gap.low)} to {_points(gap.high)})" if gap else NONE,
        f"{gap.p_value:.2g}" if gap else NONE,
        VERDICTS[gap.verdict] if gap else "baseline",
        NONE if row.ece is None else f"{100 * row.ece:.1f}",
        NONE if row.ood_auroc is None else f"{row.ood_auroc:.3f}",
        f"{worst.name}: {number(worst.accuracy.value)} %" if worst else NONE,
        f"{row.parameters / 1e6:.1f}",
        f"{row.cost.gmacs:.2f}",
        f"{row.cost.ms:.1f}",
        duration(row.training_seconds),
        row.license or "not known",
    ]


def summary(board: Leaderboard) -> str:
    """Return the result in sentences."""
    tested = (
        f"{counted(len(board.rows), 'network')} on the same "
        f"{counted(board.images, 'test image')} of {counted(board.groups, 'piece')} of surface"
    )
    folds = f", {board.folds} folds" if board.folds else ""
    sentences = [f"{tested}{folds}."]
    for verdict, words in (
        ("better", "more accurate than"),
        ("worse", "less accurate than"),
        ("equal", "not distinguishable from"),
    ):
        names = [row.model for row in board.rows if row.verdict == verdict]
        if names:
            verb = "is" if len(names) == 1 else "are"
            sentences.append(f"{enumeration(names)} {verb} {words} {board.baseline}.")
    return " ".join(sentences)


def notes(board: Leaderboard) -> list[str]:
    """Return what a reader of the table must know."""
    engines = {row.cost.engine for row in board.rows}
    return [
        f"Differences are to {board.baseline}, the first named network: paired by image, with "
        "signs flipped by piece of surface, p-values adjusted by Holm's method. Not "
        "distinguishable: adjusted p above 0.05. That is no proof that two networks are equal.",
        f"ms an image: one image, the network alone, by the fastest engine "
        f"({enumeration(sorted(engines))}) on {board.processor}, {counted(board.cores, 'core')}.",
        "Training: the epochs of all folds. The worst corruption stands at its highest severity.",
        *(f"{row.model}: {words}." for row in board.rows for words in row.missing),
        *(f"{row.model} has no result: {row.reason}" for row in board.failures),
        f"Command: {board.command}",
    ]


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f}".replace("-", "−")


def _bar(row: Row, board: Leaderboard) -> dict[str, float]:
    """Return the interval of a row in percent of the width, on an axis of all intervals."""
    low = min(each.accuracy.low for each in board.rows)
    high = max(each.accuracy.high for each in board.rows)
    span = max(high - low, 1e-9)
    score = row.accuracy
    return {
        "left": 100 * (score.low - low) / span,
        "width": 100 * (score.high - score.low) / span,
        "value": 100 * (score.value - low) / span,
    }
