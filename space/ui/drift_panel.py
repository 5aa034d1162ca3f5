"""The HTML of the comparison of a batch with the images that the model was tested on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .rendering import NO_BREAK_SPACE, macros, share

if TYPE_CHECKING or __package__ == "space.ui":
    from space.inference.drift.cause import described
    from space.inference.drift.comparison import ALARM, NOVELTY_EDGES, DriftReport
else:
    from inference.drift.cause import described
    from inference.drift.comparison import ALARM, NOVELTY_EDGES, DriftReport

_HTML = macros("drift_panel.html.jinja")

VERDICTS = {
    "class": "Answer accepted",
    "unsure": "Needs human review",
    "unknown": "Unknown surface",
}
NOT_LOOKED = (
    " Only confidence and novelty were compared: this model has no statistics of its images."
)
NO_CAUSE = " So no cause is estimated."


class Bin(NamedTuple):
    """Heights of both bars of a bin of the histogram, in percent."""

    batch: float
    known: float


def panel(report: DriftReport) -> str:
    """Return the comparison as HTML."""
    cause = described(report.causes) if report.found and report.causes is not None else None
    return str(
        _HTML.panel(
            cause,
            _compared(report),
            [(VERDICTS[key], *map(share, pair)) for key, pair in report.shares.items()],
            _novelty(report),
            _bins(report),
            f"{100 * NOVELTY_EDGES.searchsorted(1) / len(NOVELTY_EDGES):.2f}",
        )
    )


def _compared(report: DriftReport) -> str:
    images = "1 image" if report.images == 1 else f"{report.images:,} images"
    found = "The images differ" if report.found else "No difference was found"
    p_words, alarm = (
        words.replace(" ", NO_BREAK_SPACE) for words in (report.p_words, f"p ≤ {ALARM:g}")
    )
    only = "" if report.looked else NOT_LOOKED
    if report.found and report.causes is None:
        only += NO_CAUSE
    return (
        f"{images} compared with the {report.known_images:,} that the model was tested on. "
        f"{found}: {p_words}; an alarm is {alarm}, at whatever moment one looks.{only}"
    )


def _novelty(report: DriftReport) -> str | None:
    if report.novelty is None:
        return None
    batch, known = report.novelty
    return (
        f"Half of these images have a novelty above {batch:.2f} times the limit; of the test "
        f"images, above {known:.2f} times."
    )


def _bins(report: DriftReport) -> list[Bin]:
    highest = max((value for pair in report.novelty_shares for value in pair), default=1) or 1
    return [
        Bin(100 * pair.batch / highest, 100 * pair.baseline / highest)
        for pair in report.novelty_shares
    ]
