"""Error rate: share of images whose class was not found."""

from collections.abc import Sequence

from trainer.evaluation.metrics import one_vs_rest
from trainer.evaluation.metrics.intervals import Estimate, grouped_proportion, proportion
from trainer.evaluation.metrics.one_vs_rest import Right


class ErrorRate(one_vs_rest.OneVsRest):
    """Wrong answers ÷ images; of a class: (FP + FN) ÷ images."""

    definition = "Wrong answers ÷ images; of a class: (FP + FN) ÷ images."

    def of_class(self, tn: int, fp: int, fn: int, tp: int) -> Estimate:
        """Return (FP + FN) ÷ all."""
        return proportion(fp + fn, tp + tn + fp + fn)

    def overall(self, by_class: list[Estimate], right: Right, groups: Sequence[int]) -> Estimate:
        """Return wrong answers ÷ images, which is no mean over classes."""
        return grouped_proportion(~right, groups)
