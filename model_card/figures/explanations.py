"""Draw heatmaps and robustness, and write an alternative text for each figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure as Drawing
from PIL import Image

from model_card.figures.photos import photo_grid, show_photo
from model_card.figures.results import write_figure
from model_card.figures.style import GREEN, GREY, INK, PAPER, RED, shortened, styled
from model_card.formatting import counted, enumeration, number, percent
from model_card.schema.report import Figure
from model_card.schema.robustness import Robustness


@dataclass(frozen=True)
class Explained:
    """A test image, its prediction and its heatmap, a picture to lay over it."""

    image: Image.Image
    heat: Image.Image
    label: str
    prediction: str


def write_heatmaps(explained: Sequence[Explained], folder: Path) -> Figure:
    """Write `figures/heatmaps.png` into `folder`; return its entry of `Report.figures`."""
    wrong = [f"{one.label} predicted as {one.prediction}" for one in explained if not _right(one)]
    return write_figure(
        folder,
        "heatmaps",
        heatmaps(explained),
        "Heatmaps",
        f"{counted(len(explained), 'test image')}, each with a heatmap of its predicted class "
        f"beside it; {counted(len(wrong), 'wrong prediction')}"
        + (f": {enumeration(wrong)}." if wrong else "."),
    )


@styled
def heatmaps(explained: Sequence[Explained]) -> Drawing:
    """Draw each image twice: alone, and with the heatmap of its predicted class."""
    figure, grid = photo_grid(2 * len(explained), title_inches=0.4)
    for axes, over, one in zip(grid[::2], grid[1::2], explained, strict=True):
        show_photo(axes, one.image, GREY, 1)
        axes.set_title(f"True: {shortened(one.label, 16)}", fontsize=8, fontweight="normal")
        laid = one.image.convert("RGBA")
        laid.alpha_composite(one.heat.resize(laid.size, Image.Resampling.BILINEAR))
        show_photo(over, laid, GREEN if _right(one) else RED, 2 if _right(one) else 5)
        sign = "✓" if _right(one) else "✗"
        over.set_title(f"{sign} {shortened(one.prediction, 16)}", fontsize=8, fontweight="normal")
    return figure


def _right(one: Explained) -> bool:
    return one.label == one.prediction


def write_robustness(found: Robustness, folder: Path) -> Figure:
    """Write `figures/robustness.png` into `folder`; return its entry of `Report.figures`."""
    kinds = [
        f"{kind.name} {percent(kind.steps[0].accuracy.value)} to "
        f"{percent(kind.steps[-1].accuracy.value)}"
        for kind in found.kinds
    ]
    return write_figure(
        folder,
        "robustness",
        robustness(found),
        "Accuracy on corrupted images",
        f"Accuracy on {counted(found.images, 'test image')} by kind and severity of corruption; "
        f"{percent(found.clean.value)} without corruption. From lowest to highest severity: "
        f"{enumeration(kinds)}. Worst at the highest severity: {found.worst.name}.",
    )


@styled
def robustness(found: Robustness) -> Drawing:
    """Draw a table of accuracies: a row for each corruption, colored by the loss of accuracy."""
    values = np.array([[step.accuracy.value for step in kind.steps] for kind in found.kinds])
    rows, columns = values.shape
    figure = Drawing(figsize=(8, 0.42 * rows + 1.3), layout="constrained")
    axes = figure.subplots()
    lost = np.clip(found.clean.value - values, 0, 1)
    # The square root lets a loss of one point in a hundred be seen.
    axes.imshow(mpl.colormaps["Oranges"](0.85 * np.sqrt(lost)), aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        axes.text(
            column,
            row - 0.08,
            number(float(value)),
            ha="center",
            va="center",
            color=PAPER if lost[row, column] > 0.5 else INK,
        )
        axes.text(
            column,
            row + 0.28,
            f"{found.kinds[row].steps[column].severity:g}",
            ha="center",
            va="center",
            fontsize=7,
            color=PAPER if lost[row, column] > 0.5 else INK,
        )
    axes.set_yticks(range(rows), [f"{kind.name} ({kind.unit})" for kind in found.kinds])
    axes.set_xticks(range(columns), ["lowest severity", *[""] * (columns - 2), "highest severity"])
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(False)
    axes.grid(True, which="minor", color=PAPER, linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"Accuracy in % ({percent(found.clean.value)} without corruption)")
    return figure
