"""Draw calibration, risk and novelty scores: pure functions from report values to figures."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from model_card.figures.style import BLUE, GREY, INK, LIGHT_GREY, ORANGE, RED, shortened, styled
from model_card.formatting import percent
from model_card.schema.reliability import (
    Agreement,
    Calibration,
    OodDetection,
    OperatingPoint,
    Spread,
)

# The accuracy of fewer images is mostly chance.
FEW_IMAGES = 10


@styled
def reliability_diagram(calibration: Calibration) -> Figure:
    """Draw accuracy and number of images by confidence, before and after calibration."""
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, height_ratios=(3, 1))
    columns = (("Before calibration", calibration.before), ("After", calibration.after))
    for column, (title, agreement) in enumerate(columns):
        _plot_reliability(axes[0][column], agreement)
        axes[0][column].set_title(f"{title}: ECE {percent(agreement.ece)}")
        widths = [b.high - b.low for b in agreement.bins]
        total = sum(b.images for b in agreement.bins)
        axes[1][column].bar(
            [b.low for b in agreement.bins],
            [b.images / total for b in agreement.bins],
            widths,
            align="edge",
            color=GREY,
            edgecolor="white",
        )
        axes[1][column].set(xlabel="Confidence", ylim=(0, 1), xlim=(0, 1))
        for row in (0, 1):
            axes[row][column].xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
            axes[row][column].yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    figure.supxlabel(
        "Above each bar: number of images; bars of fewer than ten are pale. "
        "Hatched: gap between accuracy and confidence.",
        fontsize=8,
        color=GREY,
    )
    axes[0][0].set_ylabel("Accuracy")
    axes[1][0].set_ylabel("Share of images")
    return figure


def _plot_reliability(axes: Axes, agreement: Agreement) -> None:
    axes.plot([0, 1], [0, 1], ":", color=GREY)
    for b in agreement.bins:
        low, high = sorted((b.accuracy, b.confidence))
        centre, width = (b.low + b.high) / 2, b.high - b.low
        opacity = 0.85 if b.images >= FEW_IMAGES else 0.25
        axes.bar(centre, b.accuracy, width, color=BLUE, alpha=opacity, edgecolor="white")
        # The calibration error is the weighted sum of these gaps.
        axes.bar(
            centre,
            high - low,
            width,
            bottom=low,
            color="none",
            edgecolor=RED,
            hatch="////",
            linewidth=0.8,
        )
        axes.annotate(
            f"{b.images:,}",
            (centre, max(b.accuracy, b.confidence)),
            (0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=INK,
        )
    axes.set(ylim=(0, 1.08), xlim=(0, 1))


@styled
def risk_coverage(point: OperatingPoint, error_rate: float) -> Figure:
    """Draw the error rate against the share of images that are answered automatically."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    curve = point.curve
    axes.step(curve.coverage, curve.risk, color=BLUE, where="post", label="accepted answers")
    axes.axhline(
        error_rate,
        color=GREY,
        linestyle=":",
        label=f"all answers accepted: {percent(error_rate)} wrong",
    )
    if point.automatic_accuracy is not None:
        axes.plot(
            point.automatic,
            1 - point.automatic_accuracy.value,
            "o",
            color=ORANGE,
            markeredgecolor=INK,
            markersize=9,
            label=f"operating point: {percent(point.automatic)} accepted, "
            f"{percent(1 - point.automatic_accuracy.value)} of them wrong",
        )
    axes.set(
        xlabel="Coverage: share of images answered automatically, the most confident first",
        ylabel="Risk: error rate",
        xlim=(0, 1.01),
        ylim=(0, max(0.01, 1.15 * max(curve.risk))),
    )
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    figure.legend(loc="outside lower center", ncols=1)
    return figure


@styled
def novelty(unknown: OodDetection) -> Figure:
    """Draw the novelty scores of test images and OOD images, with the limit."""
    rows: list[tuple[str, Spread, str]] = [("test images", unknown.reference_novelty, BLUE)]
    rows += [(kind.kind, kind.novelty, ORANGE) for kind in unknown.kinds]
    figure = Figure(figsize=(8, 0.42 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    for row, (_, spread, color) in enumerate(rows):
        axes.plot([spread.p5, spread.p95], [row, row], color=color, linewidth=1.5)
        axes.barh(row, spread.p75 - spread.p25, 0.5, spread.p25, color=color, edgecolor=INK)
        axes.plot([spread.p50, spread.p50], [row - 0.25, row + 0.25], color=INK, linewidth=2)
    axes.axvline(1, color=RED, linestyle="--")
    axes.annotate("limit", (1, -0.6), (4, 0), textcoords="offset points", color=RED, va="center")
    axes.set_xscale("log")
    # Matplotlib would write powers of ten as formulae.
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(rows)), [shortened(name, 40) for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.9)
    axes.set_xlabel(
        "Novelty score in units of the limit (median, quartiles, 5th to 95th percentile)"
    )
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=LIGHT_GREY)
    return figure
