"""Accuracy: share of images whose class was found."""

from collections.abc import Sequence

from trainer.evaluation.metrics import one_vs_rest
from trainer.evaluation.metrics.intervals import Estimate, grouped_proportion, proportion
from trainer.evaluation.metrics.one_vs_rest import Right


class Accuracy(one_vs_rest.OneVsRest):
    """Right answers ÷ images; of a class: (TP + TN) ÷ images."""

    definition = "Right answers ÷ images; of a class: (TP + TN) ÷ images."

    def of_class(self, tn: int, fp: int, fn: int, tp: int) -> Estimate:
        """Return (TP + TN) ÷ all."""
        return proportion(tp + tn, tp + tn + fp + fn)

    def overall(self, by_class: list[Estimate], right: Right, groups: Sequence[int]) -> Estimate:
        """Return right answers ÷ images, which is no mean over classes."""
        return grouped_proportion(right, groups)
