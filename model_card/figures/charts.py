"""Draw learning curves and test results: pure functions from report values to figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from model_card.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT_GREY,
    ORANGE,
    PAPER,
    PURPLE,
    RED,
    SKY,
    shortened,
    styled,
)
from model_card.formatting import area, counted, percent
from model_card.schema.run.test_result import ClassResult, TestResult
from model_card.schema.run.training import Epoch

_CURVE_COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
_MOST_CURVES_IN_COLOR = 10
_MOST_CLASSES_WITH_SHARES = 12
# A larger matrix is unreadable, and its pixels grow with the square.
MOST_CLASSES_IN_MATRIX = 40
_MOST_CONFUSIONS = 20
# False positive rates at which the enlarged panel ends, and by which most curves have risen.
_ZOOM_END, _STEEP_RISE = 0.1, 0.01


@styled
def learning_curves(epochs: Sequence[Epoch]) -> Figure:
    """Draw loss and accuracy of training and validation by epoch, and mark the published epoch."""
    figure = Figure(figsize=(8, 3.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    _plot_epochs(left, epochs, [e.train_loss for e in epochs], [e.validation_loss for e in epochs])
    _plot_epochs(
        right, epochs, [e.train_accuracy for e in epochs], [e.validation_accuracy for e in epochs]
    )
    left.set_title("Loss (nats)")
    right.set_title("Accuracy")
    left.set_ylim(bottom=min(0, left.get_ylim()[0]))
    right.set_ylim(top=1.01)
    right.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _plot_epochs(
    axes: Axes, epochs: Sequence[Epoch], train: list[float], validation: list[float]
) -> None:
    numbers = [epoch.epoch for epoch in epochs]
    published = next(i for i, epoch in enumerate(epochs) if epoch.published)
    marker_size = 4 if len(epochs) <= 30 else 0
    axes.plot(numbers, train, "o--", color=ORANGE, markersize=marker_size, label="training")
    axes.plot(numbers, validation, "s-", color=BLUE, markersize=marker_size, label="validation")
    axes.axvline(numbers[published], color=GREY, linestyle=":", zorder=0)
    axes.plot(
        numbers[published],
        validation[published],
        "s",
        markersize=10,
        markerfacecolor="none",
        markeredgecolor=INK,
        markeredgewidth=1.5,
        # The last epoch, or one with perfect accuracy, lies at the edge.
        clip_on=False,
        label=f"published: epoch {numbers[published]}",
    )
    axes.set(xlabel="Epoch", xlim=(min(numbers) - 0.5, max(numbers) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


@styled
def confusion_matrix(test: TestResult) -> Figure:
    """Draw the confusion matrix: true classes in rows, predicted classes in columns.

    The color is the share of the row: blue for correct predictions, orange for wrong ones. Up to
    a dozen classes, the share is also in the cell; beyond that, at the end of the row.
    """
    counts = np.array(test.confusion)
    shares = counts / counts.sum(axis=1, keepdims=True)
    size = len(counts)
    with_shares = size <= _MOST_CLASSES_WITH_SHARES
    side = min(max(1.0 * size, 2.6), 6.4) if with_shares else 0.27 * size + 1.5
    figure = Figure(figsize=(side + 2.0, side + 1.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(_confusion_colors(shares))
    cell_points = 72 * side / size
    for (row, column), count in np.ndenumerate(counts):
        if count == 0:
            continue
        share = float(shares[row, column])
        axes.text(
            column,
            row,
            f"{count}\n{percent(share)}" if with_shares else f"{count}",
            ha="center",
            va="center",
            fontsize=min(10.5, cell_points / (5.5 if with_shares else 2.8)),
            fontweight="normal" if row == column else "bold",
            color=PAPER if row == column and share > 0.6 else INK,
        )
    names = [shortened(result.label) for result in test.classes]
    axes.set_xticks(range(size), names, ha="right", va="center", rotation_mode="anchor")
    axes.tick_params(axis="x", rotation=40 if with_shares else 90)
    axes.set_yticks(range(size), names)
    axes.set(xlabel="Predicted class", ylabel="True class")
    _draw_cell_borders(axes, size)
    if with_shares:
        axes.set_title("Test images and share of the true class")
    else:
        axes.set_title("Test images; at the right, the sensitivity of each class")
        right = axes.secondary_yaxis("right")
        right.set_yticks(range(size), [percent(float(share)) for share in shares.diagonal()])
        right.set_ylabel("Sensitivity")
        right.tick_params(length=0)
        right.spines[:].set_visible(False)
    return figure


@styled
def top_confusions(test: TestResult) -> Figure:
    """Draw the most frequent confusions, in place of a matrix of many classes."""
    confusions = most_confused(test)
    shown = confusions[:_MOST_CONFUSIONS]
    figure = Figure(figsize=(8, 0.3 * max(len(shown), 2) + 1.1), layout="constrained")
    axes = figure.subplots()
    counts = [count for count, _, _ in shown]
    axes.barh(range(len(shown)), counts, color=ORANGE, edgecolor=INK, linewidth=0.5)
    names = [shortened(result.label) for result in test.classes]
    axes.set_yticks(range(len(shown)), [f"{names[i]} → {names[j]}" for _, i, j in shown])
    for place, (count, i, _) in enumerate(shown):
        axes.annotate(
            f"{count} of {test.classes[i].images:,}",
            (count, place),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_xlim(0, 1.2 * max(counts, default=1))
    axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("Test images (true class → predicted class)")
    more = f", the first {len(shown)} of {len(confusions):,}" if confusions[len(shown) :] else ""
    axes.set_title(f"Most frequent confusions{more}" if shown else "No image was confused")
    return figure


def most_confused(test: TestResult) -> list[tuple[int, int, int]]:
    """Return (images, true class, predicted class) of all mistakes, the most frequent first."""
    confusions = [
        (count, i, j)
        for i, row in enumerate(test.confusion)
        for j, count in enumerate(row)
        if count and i != j
    ]
    return sorted(confusions, key=lambda found: (-found[0], found[1:]))


def _confusion_colors(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return RGB colors of the cells: a blue diagonal, orange for mistakes, white for none."""
    blues, oranges = mpl.colormaps["Blues"], mpl.colormaps["Oranges"]
    # The square root lets a single mistake among a hundred images be seen.
    colors = np.where(
        np.eye(len(shares), dtype=bool)[..., None],
        blues(0.85 * shares),
        oranges(0.12 + 0.6 * np.sqrt(shares)),
    )
    colors[shares == 0] = (1, 1, 1, 1)
    return colors


def _draw_cell_borders(axes: Axes, size: int) -> None:
    axes.grid(False)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(True, which="minor", color=LIGHT_GREY, linewidth=0.8)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


@styled
def roc_curves(test: TestResult) -> Figure:
    """Draw the ROC curve of each class against the rest, whole and near its upper left corner.

    With more than ten classes, only the ten with the lowest AUC have a color.
    """
    figure = Figure(figsize=(8, 4.9), layout="constrained")
    whole, corner = figure.subplots(1, 2)
    # The best curves are drawn first and thick, so that none hides the others.
    ranked = sorted(test.classes, key=lambda result: -result.scores["auc"].value)
    others, colored = ranked[:-_MOST_CURVES_IN_COLOR], ranked[-_MOST_CURVES_IN_COLOR:]
    for axes in (whole, corner):
        _plot_curves(axes, others, colored)
    whole.set_ylabel("True positive rate")
    whole.plot([0, 1], [0, 1], ":", color=GREY, linewidth=1)
    whole.text(0.55, 0.5, "chance", color=GREY)
    whole.set(title="One class against the rest", xlim=(-0.01, 1), ylim=(0, 1.02))
    bottom = _zoom_bottom(test.classes)
    margin = 0.03 * (1 - bottom)
    corner.set(
        title="Upper left corner, enlarged",
        xlim=(-0.002, _ZOOM_END),
        ylim=(bottom, 1 + margin),
    )
    handles, labels = whole.get_legend_handles_labels()
    # The worst classes first.
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=2)
    return figure


def _plot_curves(axes: Axes, others: Sequence[ClassResult], colored: Sequence[ClassResult]) -> None:
    """Plot curves, the best first; the last is the thinnest and on top."""
    for i, result in enumerate(others, start=1 - len(others)):
        lowest = area(result.scores["auc"].value)
        label = (
            ""
            if i
            else f"AUC {lowest} or more: {counted(len(others), 'other class', 'other classes')}"
        )
        axes.plot(*_points(result), color="#c4cad0", linewidth=1.2, label=label)
    for i, result in enumerate(colored):
        own = area(result.scores["auc"].value)
        axes.plot(
            *_points(result),
            color=_CURVE_COLORS[i % len(_CURVE_COLORS)],
            linestyle="-" if i < len(_CURVE_COLORS) else (0, (4, 2)),
            linewidth=1.5 + 0.45 * (len(colored) - 1 - i),
            # The name comes last: matplotlib hides labels that begin with an underscore.
            label=f"AUC {own}: {shortened(result.label)}",
        )
    axes.set_xlabel("False positive rate")


def _points(result: ClassResult) -> tuple[list[float], list[float]]:
    return result.roc.false_positive_rate, result.roc.true_positive_rate


def _zoom_bottom(classes: Sequence[ClassResult]) -> float:
    """Return a round number below all curves after their first steep rise."""
    lowest = min(float(np.interp(_STEEP_RISE, *_points(result))) for result in classes)
    return min(0.9, math.floor(10 * lowest) / 10)
