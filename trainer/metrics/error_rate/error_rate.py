"""Error rate: share of images whose class was not found."""

from trainer.metrics import one_vs_rest
from trainer.metrics.intervals import Estimate, proportion


class ErrorRate(one_vs_rest.OneVsRest):
    """Wrong answers ÷ images; of a class: (FP + FN) ÷ images."""

    definition = "Wrong answers ÷ images; of a class: (FP + FN) ÷ images."

    def of_class(self, tn: int, fp: int, fn: int, tp: int) -> Estimate:
        """Return (FP + FN) ÷ all."""
        return proportion(fp + fn, tp + tn + fp + fn)

    def overall(self, by_class: list[Estimate], right: int, images: int) -> Estimate:
        """Return wrong answers ÷ images, which is no mean over classes."""
        return proportion(images - right, images)
