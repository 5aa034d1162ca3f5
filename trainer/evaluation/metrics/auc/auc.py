"""AUC: how well a class's probability ranks its images above all others."""

from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn.metrics import roc_auc_score

from trainer.evaluation.metrics import intervals, one_vs_rest

INPUTS = """
Args:
    predictions: probabilities of the classes for each image.
    references: index of the true class of each image; every class must occur.

Returns:
    value, low, high: mean area under the ROC curve with its 95 % interval.
    by_class: the same three for each class against the rest.
"""


class Auc(evaluate.Metric):
    """Area under the ROC curve of each class against the rest; together their mean."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Area under the ROC curve, one class against the rest, and their mean.",
            citation=one_vs_rest.CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Value("int64"),
                }
            ),
        )

    def _compute(self, predictions: list[list[float]], references: list[int]) -> dict[str, Any]:
        scores, truth = np.asarray(predictions), np.asarray(references)
        by_class = []
        for label in range(scores.shape[1]):
            positive = truth == label
            area = float(roc_auc_score(positive, scores[:, label]))
            count = int(positive.sum())
            by_class.append(intervals.auc(area, count, len(truth) - count))
        return one_vs_rest.results(intervals.mean(by_class), by_class)
