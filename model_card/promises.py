"""Sentences on what a model promises and its tests did not confirm."""

from __future__ import annotations

from collections.abc import Iterator

from model_card.formatting import counted, decimals_for, percent
from model_card.schema.reliability import Calibration, OodDetection, PredictionSets
from model_card.schema.report import Report
from model_card.schema.robustness import Robustness

# Of corrupted images, named wrongly without a word of doubt.
MOST_UNNOTICED = 0.05
# Of a class, to be named alone: with fewer, one of many classes is always far off by chance.
FEWEST_IMAGES = 10


def missed_promises(report: Report) -> list[str]:
    """Return a sentence for each promise that the test images, of all folds if any, contradict."""
    folds = report.cross_validation
    reliability = (folds.reliability if folds else None) or report.reliability
    robustness = (folds.robustness if folds else None) or report.robustness
    decimals = decimals_for((folds.all_images if folds else report.test).images)
    found: list[str] = []
    if reliability is not None:
        found += _on_calibration(reliability.calibration)
        found += _on_sets(reliability.sets, decimals)
        if reliability.ood_detection is not None:
            found += _on_known(reliability.ood_detection, decimals)
    if robustness is not None:
        found += _on_robustness(robustness)
    return found


def _on_calibration(calibration: Calibration) -> Iterator[str]:
    before, after = calibration.before, calibration.after
    if after.ece > max(before.ece, after.ece_by_chance):
        yield (
            f"Calibration made the confidence worse: its error (ECE) went from "
            f"{percent(before.ece, 2)} to {percent(after.ece, 2)}."
        )


def _on_sets(sets: PredictionSets, decimals: int) -> Iterator[str]:
    if sets.coverage.value < sets.target:
        chance = ", which chance can explain" if sets.coverage.high >= sets.target else ""
        yield (
            f"The true class was among the candidates of "
            f"{percent(sets.coverage.value, decimals)} of the images, not of the promised "
            f"{percent(sets.target)}{chance}."
        )
    low = [
        result
        for result in sets.classes
        if result.images >= FEWEST_IMAGES and result.coverage.high < sets.target
    ]
    if low:
        worst = min(low, key=lambda result: result.coverage.value)
        more = counted(len(low) - 1, "more class is", "more classes are")
        yield (
            f"Single classes are worse: {percent(worst.coverage.value)} for {worst.label}"
            f"{f'; {more} below the promise, too' if len(low) > 1 else ''}."
        )


def _on_known(unknown: OodDetection, decimals: int) -> Iterator[str]:
    if unknown.test_rejected.low > unknown.allowed:
        yield (
            f"{percent(unknown.test_rejected.value, decimals)} of the test images were called an "
            f"unknown surface; at most {percent(unknown.allowed)} were promised."
        )


def _on_robustness(robustness: Robustness) -> Iterator[str]:
    limit = max(MOST_UNNOTICED, robustness.clean_unnoticed.high)
    worst = {
        kind.name: max(step.unnoticed.value for step in kind.steps) for kind in robustness.kinds
    }
    bad = sorted((name for name in worst if worst[name] > limit), key=lambda name: -worst[name])
    if bad:
        more = counted(len(bad) - 1, "other corruption")
        yield (
            f"Corrupted images can be named wrongly without a word of doubt: up to "
            f"{percent(worst[bad[0]])} of them ({bad[0]})"
            f"{f'; above {percent(limit)} under {more}, too' if len(bad) > 1 else ''}."
        )
