"""Accuracy: share of images whose class was found."""

from trainer.metrics import one_vs_rest
from trainer.metrics.intervals import Estimate, proportion


class Accuracy(one_vs_rest.OneVsRest):
    """Right answers ÷ images; of a class: (TP + TN) ÷ images."""

    definition = "Right answers ÷ images; of a class: (TP + TN) ÷ images."

    def of_class(self, tn: int, fp: int, fn: int, tp: int) -> Estimate:
        """Return (TP + TN) ÷ all."""
        return proportion(tp + tn, tp + tn + fp + fn)

    def overall(self, by_class: list[Estimate], right: int, images: int) -> Estimate:
        """Return right answers ÷ images, which is no mean over classes."""
        return proportion(right, images)
