"""Write the figures of calibration, rejection and operating point, and say what each shows."""

from __future__ import annotations

from pathlib import Path

from model_card.figures import reliability_charts
from model_card.figures.results import write_figure
from model_card.formatting import counted, enumeration, percent
from model_card.schema.reliability import Calibration, OodDetection, OperatingPoint, Reliability
from model_card.schema.report import Figure


def write_reliability_figures(reliability: Reliability, folder: Path) -> list[Figure]:
    """Write reliability diagram, novelty and risk–coverage curve to `folder/figures/`.

    Returns:
        An entry of `Report.figures` for each.
    """
    point = reliability.operating_point
    drawn = [
        write_figure(
            folder,
            "reliability",
            reliability_charts.reliability_diagram(reliability.calibration),
            "Confidence and accuracy",
            _describe_reliability(reliability.calibration),
        ),
        write_figure(
            folder,
            "risk_coverage",
            reliability_charts.risk_coverage(point, point.curve.risk[-1]),
            "Mistakes by the share of images answered",
            _describe_risk(point),
        ),
    ]
    if reliability.ood_detection is not None:
        drawn.insert(
            1,
            write_figure(
                folder,
                "novelty",
                reliability_charts.novelty(reliability.ood_detection),
                "How strange known and foreign images are",
                _describe_novelty(reliability.ood_detection),
            ),
        )
    return drawn


def _describe_reliability(calibration: Calibration) -> str:
    before, after = calibration.before, calibration.after
    bins = enumeration(
        [
            f"{percent(b.accuracy)} of {counted(b.images, 'image')} at a mean confidence of "
            f"{percent(b.confidence)}"
            for b in after.bins
        ]
    )
    return (
        "Reliability diagram, as trained and calibrated. The expected calibration error goes from "
        f"{percent(before.ece)} to {percent(after.ece)}. Calibrated, right were {bins}."
    )


def _describe_risk(point: OperatingPoint) -> str:
    everything = point.curve.risk[-1]
    start = (
        "Share of mistakes by the share of images answered without a person: "
        f"{percent(everything)} if all are"
    )
    if point.automatic_accuracy is None:
        return f"{start}; at the operating point, none are."
    taken = 1 - point.unsure.value - point.unknown.value
    return (
        f"{start}; at the operating point {percent(taken)} are, and "
        f"{percent(1 - point.automatic_accuracy.value)} of those answers are wrong."
    )


def _describe_novelty(unknown: OodDetection) -> str:
    kinds = [
        f"{kind.kind} {kind.novelty.p50:.1f}, {percent(kind.rejected.value)} beyond"
        for kind in unknown.kinds
    ]
    return (
        "Novelty of images in units of the limit, by kind. Median of the test images "
        f"{unknown.reference_novelty.p50:.2f}, {percent(unknown.test_rejected.value)} beyond the "
        f"limit; of foreign images: {enumeration(kinds)}."
    )
