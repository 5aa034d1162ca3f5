"""Split-conformal prediction: thresholds with a guarantee for finitely many images.

For any model, the score of a further image from the same distribution exceeds the
⌈(n + 1)(1 − α)⌉-th smallest of n scores with a probability of at most α (Vovk et al. 2005;
Angelopoulos and Bates 2021, arXiv:2107.07511).
"""

from __future__ import annotations

import math

import numpy as np

from trainer.decision.temperature import Array, Labels


def conformal_quantile(scores: Array, exceeded: float) -> float:
    """Return a threshold that at most the share `exceeded` of further images exceeds.

    With too few images for this guarantee, the threshold is infinity.
    """
    rank = math.ceil((len(scores) + 1) * (1 - exceeded))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def least_probability(probabilities: Array, truth: Labels, coverage: float) -> float:
    """Return the probability above which a class belongs to the prediction set.

    These sets contain the true class with the given coverage: the least ambiguous sets of Sadinle
    et al. (2019), which are the smallest on average.
    """
    missing = 1 - probabilities[np.arange(len(truth)), truth]
    return max(0.0, 1 - conformal_quantile(missing, 1 - coverage))
