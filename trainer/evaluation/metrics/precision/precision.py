"""Precision: share of the images called a class that are of it."""

from trainer.evaluation.metrics import one_vs_rest
from trainer.evaluation.metrics.intervals import Estimate, proportion


class Precision(one_vs_rest.OneVsRest):
    """TP ÷ (TP + FP) of each class; together their mean."""

    definition = "TP ÷ (TP + FP) of each class, 0 if it was never predicted; together their mean."

    def of_class(self, tn: int, fp: int, fn: int, tp: int) -> Estimate:
        """Return TP ÷ (TP + FP)."""
        return proportion(tp, tp + fp)
