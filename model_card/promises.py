"""Warnings of the card: promises of the model that its test images contradict."""

from __future__ import annotations

from collections.abc import Iterator

from model_card.formatting import counted, decimals_for, mid_sentence, percent
from model_card.schema.reliability import Calibration, OodDetection, OperatingPoint, PredictionSets
from model_card.schema.report import Report
from model_card.schema.robustness import Robustness

# Largest acceptable share of unnoticed errors: wrong answers that are neither unsure nor unknown.
MOST_UNNOTICED = 0.05
# Classes with fewer test images are not named: one of many is always far off by chance.
FEWEST_IMAGES = 10


def missed_promises(report: Report) -> list[str]:
    """Return a sentence for each promise that the test images contradict.

    The images of all folds decide where there are folds.
    """
    folds = report.cross_validation
    reliability = (folds.reliability if folds else None) or report.reliability
    robustness = (folds.robustness if folds else None) or report.robustness
    decimals = decimals_for((folds.all_images if folds else report.test).images)
    found: list[str] = []
    if reliability is not None:
        found += _on_calibration(reliability.calibration)
        found += _on_sets(reliability.sets, decimals)
        if reliability.ood_detection is not None:
            found += _on_rejected(reliability.ood_detection, decimals)
        found += _on_errors(reliability.operating_point, decimals)
    if robustness is not None:
        found += _on_robustness(robustness)
    return found


def _on_calibration(calibration: Calibration) -> Iterator[str]:
    before, after = calibration.before, calibration.after
    if after.ece > max(before.ece, after.ece_by_chance):
        yield (
            "Calibration made the confidence worse: the expected calibration error (ECE) rose "
            f"from {percent(before.ece, 2)} to {percent(after.ece, 2)}."
        )


def _on_sets(sets: PredictionSets, decimals: int) -> Iterator[str]:
    if sets.coverage.value < sets.target:
        chance = "; chance can explain the difference" if sets.coverage.high >= sets.target else ""
        yield (
            "The prediction sets contain the true class of "
            f"{percent(sets.coverage.value, decimals)} of the images; the target is "
            f"{percent(sets.target)}{chance}."
        )
    low = [
        result
        for result in sets.classes
        if result.images >= FEWEST_IMAGES and result.coverage.high < sets.target
    ]
    if low:
        worst = min(low, key=lambda result: result.coverage.value)
        more = counted(len(low) - 1, "other class is", "other classes are")
        yield (
            f"The coverage of single classes is lower: {percent(worst.coverage.value)} for "
            f"{worst.label}{f'; {more} below the target, too' if len(low) > 1 else ''}."
        )


def _on_rejected(unknown: OodDetection, decimals: int) -> Iterator[str]:
    if unknown.test_rejected.low > unknown.allowed:
        yield (
            f"{percent(unknown.test_rejected.value, decimals)} of the test images are rejected as "
            f"unknown; the limit should reject at most {percent(unknown.allowed)}."
        )


def _on_errors(point: OperatingPoint, decimals: int) -> Iterator[str]:
    accuracy = point.automatic_accuracy
    unnoticed = 0 if accuracy is None else point.automatic * (1 - accuracy.value)
    if unnoticed > MOST_UNNOTICED:
        yield (
            f"Errors can go unnoticed: {percent(unnoticed, decimals)} of the test images get a "
            "wrong class that is neither unsure nor unknown."
        )


def _on_robustness(robustness: Robustness) -> Iterator[str]:
    worst = {mid_sentence(kind.name): kind.most_unnoticed for kind in robustness.kinds}
    bad = sorted(
        (name for name in worst if worst[name] > MOST_UNNOTICED), key=lambda name: -worst[name]
    )
    if bad:
        more = counted(len(bad) - 1, "other corruption")
        yield (
            f"Errors on corrupted images can go unnoticed: up to {percent(worst[bad[0]])} of the "
            f"images ({bad[0]})"
            f"{f'; more than {percent(MOST_UNNOTICED)} under {more}' if len(bad) > 1 else ''}."
        )
