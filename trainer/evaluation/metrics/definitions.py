"""The definition of each metric; `model_card.metrics` names them.

A metric is an entry of `FROM_COUNTS` or of `FROM_PROBABILITIES`: its value for one class against
the rest. The value of all classes is their mean, unless `OF_IMAGES` has another definition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import multilabel_confusion_matrix, roc_auc_score

from model_card.schema.base import Score
from trainer.evaluation.metrics import intervals
from trainer.evaluation.metrics.intervals import grouped_proportion, proportion

Flags = npt.NDArray[np.bool_]


def _auc(positive: Flags, probabilities: npt.NDArray[np.float64]) -> Score:
    count = int(positive.sum())
    area = float(roc_auc_score(positive, probabilities))
    return intervals.auc(area, count, len(positive) - count)


# From the counts of true negatives, false positives, false negatives and true positives.
FROM_COUNTS: dict[str, Callable[[int, int, int, int], Score]] = {
    "accuracy": lambda tn, fp, fn, tp: proportion(tp + tn, tp + tn + fp + fn),
    "error_rate": lambda tn, fp, fn, tp: proportion(fp + fn, tp + tn + fp + fn),
    "sensitivity": lambda tn, fp, fn, tp: proportion(tp, tp + fn),
    "specificity": lambda tn, fp, fn, tp: proportion(tn, tn + fp),
    "precision": lambda tn, fp, fn, tp: proportion(tp, tp + fp),
    "f1": lambda tn, fp, fn, tp: intervals.f1(tp, fp, fn),
}
# From which images are of the class, and its probability for each image.
FROM_PROBABILITIES: dict[str, Callable[[Flags, npt.NDArray[np.float64]], Score]] = {"auc": _auc}
# Shares of all images, from which of them are classified correctly: those that count.
OF_IMAGES: dict[str, Callable[[Flags], Flags]] = {
    "accuracy": lambda right: right,
    "error_rate": lambda right: ~right,
}


def scores(
    probabilities: npt.NDArray[np.float64],
    truth: npt.NDArray[np.int64],
    groups: Sequence[int] | None = None,
) -> dict[str, tuple[Score, list[Score]]]:
    """Return each metric by name: of all classes together, and of each class against the rest.

    Args:
        probabilities: [image, class].
        truth: index of the true class of each image; every class must occur.
        groups: number of the piece of surface that each image shows; None: all differ.
    """
    predicted = probabilities.argmax(axis=1)
    labels = range(probabilities.shape[1])
    counts = multilabel_confusion_matrix(truth, predicted, labels=labels)
    by_class = {
        name: [of_class(*(int(n) for n in each.ravel())) for each in counts]
        for name, of_class in FROM_COUNTS.items()
    } | {
        name: [of_class(truth == label, probabilities[:, label]) for label in labels]
        for name, of_class in FROM_PROBABILITIES.items()
    }
    together = range(len(truth)) if groups is None else groups
    overall = {
        name: grouped_proportion(OF_IMAGES[name](predicted == truth), together)
        if name in OF_IMAGES
        else intervals.mean(values)
        for name, values in by_class.items()
    }
    return {name: (overall[name], values) for name, values in by_class.items()}
