"""Write the figures of calibration, OOD detection and operating point."""

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
            "Risk and coverage",
            _describe_risk(point),
        ),
    ]
    if reliability.ood_detection is not None:
        drawn.insert(1, write_novelty_figure(reliability.ood_detection, folder))
    return drawn


def write_novelty_figure(unknown: OodDetection, folder: Path) -> Figure:
    """Write the novelty scores to `folder/figures/`; return the entry of `Report.figures`."""
    return write_figure(
        folder,
        "novelty",
        reliability_charts.novelty(unknown),
        "Novelty scores of test images and OOD images",
        _describe_novelty(unknown),
    )


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
        "Reliability diagram before and after calibration. The expected calibration error goes "
        f"from {percent(before.ece)} to {percent(after.ece)}. After calibration, the accuracy is "
        f"{bins}."
    )


def _describe_risk(point: OperatingPoint) -> str:
    everything = point.curve.risk[-1]
    start = (
        "Error rate by the share of images answered automatically: "
        f"{percent(everything)} if all are"
    )
    if point.automatic_accuracy is None:
        return f"{start}; at the operating point, none are."
    return (
        f"{start}; at the operating point {percent(point.automatic)} are, and "
        f"{percent(1 - point.automatic_accuracy.value)} of those answers are wrong."
    )


def _describe_novelty(unknown: OodDetection) -> str:
    kinds = [
        f"{kind.kind} {kind.novelty.p50:.1f}, {percent(kind.rejected.value)} above the limit"
        for kind in unknown.kinds
    ]
    return (
        "Novelty scores in units of the limit, by kind of image. Median of the test images "
        f"{unknown.reference_novelty.p50:.2f}, {percent(unknown.test_rejected.value)} above the "
        f"limit; of OOD images: {enumeration(kinds)}."
    )
