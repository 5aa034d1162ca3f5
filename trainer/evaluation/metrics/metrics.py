"""The metrics of the report as one `evaluate` module, with 95 % intervals.

`evaluate.load` takes the path of a folder and reads the file of the same name in it, so that this
file is called as its folder is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
import numpy.typing as npt
from sklearn.metrics import multilabel_confusion_matrix, roc_auc_score

from model_card.schema.base import Score
from trainer.evaluation.metrics import intervals
from trainer.evaluation.metrics.intervals import grouped_proportion, proportion

# Each metric of one class against the rest, from its counts; together the classes have their mean.
OF_CLASS: dict[str, Callable[[int, int, int, int], Score]] = {
    "accuracy": lambda tn, fp, fn, tp: proportion(tp + tn, tp + tn + fp + fn),
    "error_rate": lambda tn, fp, fn, tp: proportion(fp + fn, tp + tn + fp + fn),
    "sensitivity": lambda tn, fp, fn, tp: proportion(tp, tp + fn),
    "specificity": lambda tn, fp, fn, tp: proportion(tn, tn + fp),
    "precision": lambda tn, fp, fn, tp: proportion(tp, tp + fp),
    "f1": lambda tn, fp, fn, tp: intervals.f1(tp, fp, fn),
}
CITATION = "Any of these metrics: Sokolova and Lapalme, Inf. Process. Manag. 45 (2009) 427–437."
INPUTS = """
Args:
    predictions: probabilities of the classes for each image.
    references: index of the true class of each image; every class must occur.
    groups: number of the piece of surface that each image shows, where several may show the same.

Returns:
    for each of accuracy, error_rate, sensitivity, specificity, precision, f1 and auc:
    value, low, high: of all classes together, with the 95 % interval. Accuracy and error rate are
        shares of all images; the others are means of the classes.
    by_class: the same three for each class against the rest.
"""


class Metrics(evaluate.Metric):
    """All metrics of a classifier."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Metrics of a classifier: each class against the rest, and together.",
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Value("int64"),
                }
            ),
        )

    def _compute(
        self,
        predictions: list[list[float]],
        references: list[int],
        groups: Sequence[int] | None = None,
    ) -> dict[str, Any]:
        probabilities, truth = np.asarray(predictions), np.asarray(references)
        predicted = probabilities.argmax(axis=1)
        counts = multilabel_confusion_matrix(truth, predicted, labels=range(probabilities.shape[1]))
        by_class = {
            name: [of_class(*(int(n) for n in each.ravel())) for each in counts]
            for name, of_class in OF_CLASS.items()
        }
        by_class["auc"] = _areas(probabilities, truth)
        overall = {name: intervals.mean(values) for name, values in by_class.items()}
        right, alone = predicted == truth, range(len(truth))
        together = alone if groups is None else groups
        overall["accuracy"] = grouped_proportion(right, together)
        overall["error_rate"] = grouped_proportion(~right, together)
        return {
            name: overall[name].model_dump()
            | {"by_class": [value.model_dump() for value in values]}
            for name, values in by_class.items()
        }


def _areas(probabilities: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> list[Score]:
    """Return the area under the ROC curve of each class against the rest."""
    areas = []
    for label in range(probabilities.shape[1]):
        positive = truth == label
        area, count = float(roc_auc_score(positive, probabilities[:, label])), int(positive.sum())
        areas.append(intervals.auc(area, count, len(truth) - count))
    return areas
