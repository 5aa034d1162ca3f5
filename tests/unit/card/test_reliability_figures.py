"""Figures of calibration, OOD detection and operating point show the values of the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.patches import Rectangle

from model_card.figures import reliability_charts
from model_card.figures.reliability import write_reliability_figures
from model_card.schema.reliability import Reliability
from tests.support.reliability_facts import example_operating_point, example_reliability
from tests.support.reports import LABELS

RELIABILITY = example_reliability(LABELS)


def test_reliability_bars_are_the_bins() -> None:
    figure = reliability_charts.reliability_diagram(RELIABILITY.calibration)
    for axes, agreement in zip(
        figure.axes[:2],
        (RELIABILITY.calibration.before, RELIABILITY.calibration.after),
        strict=True,
    ):
        bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        shown = [(bar.get_x(), bar.get_height()) for bar in bars[::2]]
        assert shown == [pytest.approx((b.low, b.accuracy)) for b in agreement.bins]
        gaps = [bar.get_height() for bar in bars[1::2]]
        assert gaps == pytest.approx([abs(b.accuracy - b.confidence) for b in agreement.bins])
        assert [text.get_text() for text in axes.texts] == ["8", "280"]
        few, many = bars[0].get_alpha(), bars[2].get_alpha()
        assert few is not None
        assert many is not None
        assert few < many, "the bar of eight images is paler"
    titles = [axes.get_title(loc="left").replace("\u00a0", " ") for axes in figure.axes[:2]]
    assert titles == ["Before calibration: ECE 3.1 %", "After: ECE 0.9 %"]


def test_novelty_rows_are_the_kinds_and_the_limit_is_1() -> None:
    assert RELIABILITY.ood_detection is not None
    figure = reliability_charts.novelty(RELIABILITY.ood_detection)
    [axes] = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["test images", "noise", "text"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "test images come first"
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    spread = RELIABILITY.ood_detection.reference_novelty
    assert (boxes[0].get_x(), boxes[0].get_width()) == pytest.approx(
        (spread.p25, spread.p75 - spread.p25)
    )
    limits = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert np.asarray(limits[0].get_xdata()).tolist() == [1, 1]
    figure.canvas.draw()
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert "1" in ticks
    assert not any("$" in tick for tick in ticks)


def test_the_operating_point_lies_where_it_was_measured() -> None:
    figure = reliability_charts.risk_coverage(RELIABILITY.operating_point, 0.0139)
    curve, _, point = figure.axes[0].lines
    assert np.asarray(curve.get_xdata()).tolist() == RELIABILITY.operating_point.curve.coverage
    assert np.asarray(curve.get_ydata()).tolist() == RELIABILITY.operating_point.curve.risk
    place = np.asarray(point.get_xydata())[0]
    assert place == pytest.approx((1 - 0.0625 - 0.0139, 1 - 0.9962))
    assert not [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]


def test_where_nothing_is_automatic_there_is_no_point() -> None:
    point = example_operating_point(automatic_accuracy=None)
    reliability = example_reliability(LABELS, operating_point=point)
    figure = reliability_charts.risk_coverage(reliability.operating_point, 0.0139)
    assert len(figure.axes[0].lines) == 2


@pytest.mark.parametrize(
    ("reliability", "names"),
    [
        (RELIABILITY, ["reliability", "novelty", "risk_coverage"]),
        (example_reliability(LABELS, ood_detection=None), ["reliability", "risk_coverage"]),
    ],
)
@pytest.mark.slow
def test_figures_are_written_with_words_that_hold_their_numbers(
    tmp_path: Path, reliability: Reliability, names: list[str]
) -> None:
    written = write_reliability_figures(reliability, tmp_path)
    assert [figure.file for figure in written] == [f"figures/{name}.png" for name in names]
    alt = {Path(figure.file).stem: figure.alt.replace("\u00a0", " ") for figure in written}
    assert "goes from 3.1 % to 0.9 %" in alt["reliability"]
    assert "75.0 % of 8 images at a mean confidence of 64.0 %" in alt["reliability"]
    wrong = "at the operating point 92.4 % are, and 0.4 % of those answers are wrong"
    assert wrong in alt["risk_coverage"]
    if "novelty" in names:
        assert "noise 5.2, 97.5 % above the limit" in alt["novelty"]
    for figure in written:
        assert (tmp_path / figure.file).read_bytes().startswith(b"\x89PNG")
