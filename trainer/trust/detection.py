"""How well a score tells unknown images from known ones; unknown ones should score higher."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from trainer.trust.calibration import Array


def detection_auroc(known: Array, unknown: Array) -> float:
    """Return the probability that an unknown image scores higher than a known one."""
    truth = np.concatenate([np.zeros(len(known)), np.ones(len(unknown))])
    return float(roc_auc_score(truth, np.concatenate([known, unknown])))


def false_positive_rate(known: Array, unknown: Array, recall: float = 0.95) -> float:
    """Return the share of known images rejected by a limit that rejects `recall` of the unknown."""
    # The highest of the limits that reject so many; recall itself is rounded, hence the trifle.
    missed = int((1 - recall) * len(unknown) + 1e-9)
    limit = np.sort(unknown)[missed]
    return float((known >= limit).mean())
