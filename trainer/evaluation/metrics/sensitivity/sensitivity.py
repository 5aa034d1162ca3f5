"""Sensitivity, or recall: share of a defect's images that were found."""

from trainer.evaluation.metrics import one_vs_rest
from trainer.evaluation.metrics.intervals import Estimate, proportion


class Sensitivity(one_vs_rest.OneVsRest):
    """TP ÷ (TP + FN) of each class; together their mean."""

    definition = "TP ÷ (TP + FN) of each class; together their mean (macro recall)."

    def of_class(self, tn: int, fp: int, fn: int, tp: int) -> Estimate:
        """Return TP ÷ (TP + FN)."""
        return proportion(tp, tp + fn)
