"""F1: harmonic mean of precision and sensitivity."""

from trainer.evaluation.metrics import intervals, one_vs_rest
from trainer.evaluation.metrics.intervals import Estimate


class F1(one_vs_rest.OneVsRest):
    """2 TP ÷ (2 TP + FP + FN) of each class; together their mean."""

    definition = "2 TP ÷ (2 TP + FP + FN) of each class; together their mean (macro F1)."

    def of_class(self, tn: int, fp: int, fn: int, tp: int) -> Estimate:
        """Return 2 TP ÷ (2 TP + FP + FN)."""
        return intervals.f1(tp, fp, fn)
