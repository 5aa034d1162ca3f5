"""Specificity: share of the other classes' images that were not called this class."""

from trainer.evaluation.metrics import one_vs_rest
from trainer.evaluation.metrics.intervals import Estimate, proportion


class Specificity(one_vs_rest.OneVsRest):
    """TN ÷ (TN + FP) of each class against the rest; together their mean."""

    definition = "TN ÷ (TN + FP) of each class against the rest; together their mean."

    def of_class(self, tn: int, fp: int, fn: int, tp: int) -> Estimate:
        """Return TN ÷ (TN + FP)."""
        return proportion(tn, tn + fp)
