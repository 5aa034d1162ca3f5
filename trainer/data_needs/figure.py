"""The figure of a learning curve."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter, ScalarFormatter

from model_card.figures.style import BLUE, GREY, INK, ORANGE, shortened, styled
from trainer.data_needs.result import ClassCurve, LearningCurve

MOST_BARS = 20


@styled
def learning_curve(result: LearningCurve) -> Figure:
    """Draw the error over the images of each class, and the change by more images of one class."""
    shown = sorted(result.by_class, key=lambda each: each.forecast.change.value)[:MOST_BARS]
    figure = Figure(figsize=(9, max(3.7, 1.5 + 0.3 * len(shown))), layout="constrained")
    left, right = figure.subplots(1, 2)
    counts = np.array([point.images for point in result.points])
    errors = np.array([point.error.value for point in result.points])
    reach = np.array(
        [
            (point.error.value - point.error.low, point.error.high - point.error.value)
            for point in result.points
        ]
    ).T
    ahead = result.forecast
    images = np.geomspace(counts[0], max(ahead.images_then, counts[-1]), 100)
    left.plot(images, [result.law.error(n) for n in images], "--", color=GREY, label="power law")
    left.errorbar(counts, errors, reach, fmt="o", color=BLUE, capsize=3, label="measured")
    then = ahead.error_then
    left.errorbar(
        [ahead.images_then],
        [then.value],
        [[then.value - then.low], [then.high - then.value]],
        fmt="s",
        color=ORANGE,
        capsize=3,
        label="forecast",
    )
    left.set_xscale("log")
    left.set_xticks([*counts.tolist(), ahead.images_then])
    left.xaxis.set_major_formatter(ScalarFormatter())
    left.xaxis.set_minor_formatter(NullFormatter())
    left.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    left.set_ylim(bottom=0)
    left.set_xlabel("images of each class")
    left.set_title("Error, with 95 % intervals")
    left.legend()
    changes = [each.forecast.change for each in shown]
    values = np.array([change.value for change in changes])
    spread = np.array([(c.value - c.low, c.high - c.value) for c in changes]).T
    right.errorbar(100 * values, range(len(shown)), xerr=100 * spread, fmt="o", color=BLUE)
    right.axvline(0, color=INK, linewidth=1)
    right.set_yticks(range(len(shown)), [_bar_name(each) for each in shown])
    right.invert_yaxis()
    right.set_xlabel("points of error")
    right.set_title("Change by more images of one class")
    return figure


def _bar_name(curve: ClassCurve) -> str:
    ahead = curve.forecast
    return f"{shortened(curve.name, 18)}\n{ahead.images_now} → {ahead.images_then}"
