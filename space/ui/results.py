"""The HTML of the test results; its figures follow the light and dark colors of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .rendering import macros, score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space.model_report import Report
    from space.report_schema import OperatingPoint, TestResult

# Figures of a report that are drawn here from its numbers.
DRAWN_HERE = {
    "confusion": "figures/confusion_matrix.png",
    "curve": "figures/risk_coverage.png",
}
MOST_CLASSES = 15
MOST_POINTS = 200
MOST_MISTAKES = 6
# Of the plot in the template: left, top, right, bottom.
LEFT, TOP, RIGHT, BOTTOM = 56, 20, 388, 200
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25)

_HTML = macros("results.html.jinja")


class Curve(NamedTuple):
    """The plot of errors by coverage, in its coordinates.

    Attributes:
        points: of the line, as SVG writes them.
        levels: label and height of each horizontal line.
        now: place of the published decision; None if it accepts no answer.
        alt: the plot in words.
    """

    points: str
    levels: list[tuple[str, float]]
    now: tuple[float, float] | None
    alt: str


def results(report: Report | None) -> str:
    """Return the test results as numbers, tables and figures, or a note that there are none."""
    if report is None:
        return str(_HTML.missing())
    point = report.reliability.operating_point if report.reliability else None
    mistakes = report.test.mistakes[:MOST_MISTAKES]
    errors = point.curve.risk if point and point.curve.coverage else []
    curve = _curve(point) if point and any(errors) else None
    faultless = bool(errors) and curve is None
    matrix = _matrix(report.test)
    return str(_HTML.results(report, matrix, curve, faultless, mistakes, MOST_MISTAKES))


def folded(scores: str, figures: Sequence[str]) -> str:
    """Return all scores and the other figures, folded; both are HTML already."""
    return str(_HTML.folded(scores, "".join(figures)))


def drawn_here(report: Report | None) -> set[str]:
    """Return the files of figures that `results` draws from the numbers of a report."""
    found = set()
    if report and _matrix(report.test):
        found.add(DRAWN_HERE["confusion"])
    point = report.reliability.operating_point if report and report.reliability else None
    if point and point.curve.coverage:
        found.add(DRAWN_HERE["curve"])
    return found


def _matrix(test: TestResult) -> list[tuple[str, list[tuple[int, float]]]]:
    """Return each true class with count and share of each predicted one; [] if there are many."""
    if not test.confusion or len(test.classes) > MOST_CLASSES:
        return []
    return [
        (result.label, [(count, count / result.images) for count in row])
        for result, row in zip(test.classes, test.confusion, strict=False)
    ]


def _curve(point: OperatingPoint) -> Curve:
    coverage, risk = point.curve.coverage, point.curve.risk
    accuracy = point.automatic_accuracy
    error = 1 - accuracy.value if accuracy else 0.0
    highest = max(*risk, error, STEPS[0])
    step = next((each for each in STEPS if 5 * each >= highest), STEPS[-1])
    top = step * -(-highest // step)

    def place(share: float, errors: float) -> tuple[float, float]:
        x, y = LEFT + (RIGHT - LEFT) * share, BOTTOM - (BOTTOM - TOP) * errors / top
        return round(x, 1), round(y, 1)

    every = max(1, len(coverage) // MOST_POINTS)
    shown = [*zip(coverage, risk, strict=False)]
    shown = [*shown[:-1:every], shown[-1]]
    count = round(top / step)
    levels = [
        (f"{100 * step * number:g}\u00a0%", place(0, step * number)[1])
        for number in range(count + 1)
    ]
    alt = f"Errors rise to {score(risk[-1])} % if all test images are answered."
    if accuracy:
        alt += (
            f" The published decision answers {score(point.automatic)} % of them with "
            f"{score(error)} % errors."
        )
    now = place(point.automatic, error) if accuracy else None
    return Curve(" ".join(f"{x},{y}" for x, y in (place(*p) for p in shown)), levels, now, alt)
