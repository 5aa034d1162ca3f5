"""Selective prediction: OOD detection, and risk over coverage."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from trainer.decision.temperature import Array


def detection_auroc(known: Array, unknown: Array) -> float:
    """Return the AUROC: the probability that an OOD image scores higher than a reference image."""
    truth = np.concatenate([np.zeros(len(known)), np.ones(len(unknown))])
    return float(roc_auc_score(truth, np.concatenate([known, unknown])))


def false_positive_rate(known: Array, unknown: Array, recall: float = 0.95) -> float:
    """Return the share of in-distribution images rejected when `recall` of the OOD images are."""
    # The highest limit that reaches the recall; 1e-9 compensates for rounding in 1 - recall.
    missed = int((1 - recall) * len(unknown) + 1e-9)
    limit = np.sort(unknown)[missed]
    return float((known >= limit).mean())


def confidence_limit(missed: float, false_alarm: float, review: float) -> float:
    """Return the confidence below which a review costs less than the risk (Chow 1970).

    All classes are defects: a wrong class costs a missed defect and a false alarm.
    """
    worst = missed + false_alarm
    return max(0.0, 1 - review / worst) if worst else 0.0


def risk_coverage(confidence: Array, right: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return coverage and risk for every confidence limit (El-Yaniv and Wiener 2010).

    Coverage is the share of images that are answered, the most confident first; risk is the share
    of mistakes among them. Images of equal confidence are answered together.
    """
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    mistakes = np.cumsum(~right[order])
    last_of_ties = np.append(np.diff(confidence[order]) != 0, True)
    return answered[last_of_ties] / len(order), (mistakes / answered)[last_of_ties]


def area_under_risk(coverage: Array, risk: Array) -> float:
    """Return the area under the risk-coverage curve (AURC)."""
    return float((np.diff(coverage, prepend=0) * risk).sum())
