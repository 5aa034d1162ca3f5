"""What the metric modules share: inputs, counts of one class against the rest, form of results."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import datasets
import evaluate
import numpy as np
import numpy.typing as npt
from sklearn.metrics import multilabel_confusion_matrix

from trainer.evaluation.metrics import intervals
from trainer.evaluation.metrics.intervals import Estimate

Right = npt.NDArray[np.bool_]
CITATION = "Any of these measures: Sokolova and Lapalme, Inf. Process. Manag. 45 (2009) 427–437."
INPUTS = """
Args:
    predictions: index of the predicted class of each image.
    references: index of the true class of each image.
    num_classes: number of classes; some may not occur.
    groups: number of the piece of surface that each image shows, where several may show the same.

Returns:
    value, low, high: the measure with its 95 % interval, for all classes together.
    by_class: the same three for each class against the rest.
"""


def results(overall: Estimate, by_class: list[Estimate]) -> dict[str, Any]:
    """Return what every metric module returns from `compute`."""
    return {**asdict(overall), "by_class": [asdict(estimate) for estimate in by_class]}


class OneVsRest(evaluate.Metric):
    """A measure of predicted against true classes, made from TP, FP, FN and TN of each class."""

    definition: str

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.definition,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(
        self,
        predictions: list[int],
        references: list[int],
        num_classes: int,
        groups: Sequence[int] | None = None,
    ) -> dict[str, Any]:
        counts = multilabel_confusion_matrix(references, predictions, labels=range(num_classes))
        by_class = [self.of_class(*(int(n) for n in c.ravel())) for c in counts]
        right = np.asarray(predictions) == np.asarray(references)
        alone = range(len(right))
        return results(self.overall(by_class, right, alone if groups is None else groups), by_class)

    @abstractmethod
    def of_class(self, tn: int, fp: int, fn: int, tp: int) -> Estimate:
        """Return the measure of one class from its counts."""

    def overall(self, by_class: list[Estimate], right: Right, groups: Sequence[int]) -> Estimate:
        """Return the measure of all classes: their plain (macro) mean, unless redefined.

        Args:
            by_class: the measure of each class.
            right: which images got their class.
            groups: of the images.
        """
        return intervals.mean(by_class)
