"""The metrics of the report as one `evaluate` module, with 95 % intervals.

`evaluate.load` takes the path of a folder and reads the file of the same name in it, so that this
file is called as its folder is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from trainer.evaluation.metrics.definitions import scores

CITATION = "Any of these metrics: Sokolova and Lapalme, Inf. Process. Manag. 45 (2009) 427–437."
INPUTS = """
Args:
    predictions: probabilities of the classes for each image.
    references: index of the true class of each image; every class must occur.
    groups: number of the piece of surface that each image shows, where several may show the same.

Returns:
    for each metric, by its name in `model_card.metrics`:
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
        found = scores(np.asarray(predictions), np.asarray(references), groups)
        return {
            name: overall.model_dump() | {"by_class": [value.model_dump() for value in by_class]}
            for name, (overall, by_class) in found.items()
        }
