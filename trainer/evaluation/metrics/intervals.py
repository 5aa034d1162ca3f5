"""95 % intervals that stay honest at perfect scores, where the bootstrap shrinks to a point."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm

from model_card.schema.base import Score

CONFIDENCE = 0.95
_Z = float(norm.ppf((1 + CONFIDENCE) / 2))
_MARGIN = 1e-9


def proportion(hits: int, trials: int) -> Score:
    """Return hits / trials with the Wilson score interval (Wilson, JASA 22 (1927) 209).

    Without trials nothing is known: the value is 0 by convention, the interval all of [0, 1].
    """
    if trials == 0:
        return Score(value=0.0, low=0.0, high=1.0)
    return _wilson(hits / trials, trials)


def grouped_proportion(hits: npt.ArrayLike, groups: Sequence[int]) -> Score:
    """Return the share of hits [image], where those of a group tend to be hit or missed together.

    So they say less than as many independent images. The interval is Wilson's for as many as would
    let the share vary as it does from group to group (the design effect: Rao and Scott, Biometrics
    48 (1992) 577), which are never more than there are. Where all or none are hit, nothing shows
    how hits cluster, and each image counts.
    """
    right = np.asarray(hits, dtype=np.float64)
    images = len(right)
    if images == 0:
        return Score(value=0.0, low=0.0, high=1.0)
    value = float(right.mean())
    members = np.unique(groups, return_inverse=True)[1]
    excess = np.bincount(members, weights=right - value)
    count = len(excess)
    # Each variance is estimated around the mean, which takes one degree of freedom.
    between = count / max(1, count - 1) * float(np.sum(excess**2))
    alone = images / max(1, images - 1) * images * value * (1 - value)
    return _wilson(value, images * alone / between if between > alone else images)


def bounded_mean(values: Sequence[float]) -> Score:
    """Return the mean of independent values between 0 and 1.

    Their variance is at most that of a proportion with the same mean, so its interval holds.
    """
    if len(values) == 0:
        return Score(value=0.0, low=0.0, high=1.0)
    return _wilson(float(np.mean(values)), len(values))


def _wilson(value: float, trials: float) -> Score:
    """Return a share with its score interval; `trials` need not be a whole number."""
    shrink = 1 + _Z**2 / trials
    centre = (value + _Z**2 / (2 * trials)) / shrink
    reach = _Z * sqrt(value * (1 - value) / trials + _Z**2 / (4 * trials**2)) / shrink
    # Rounding in the last digit must not put a value of 0 or 1 outside its interval.
    low, high = max(0.0, centre - reach), min(1.0, centre + reach)
    return Score(value=value, low=min(value, low), high=max(value, high))


def f1(true_positives: int, false_positives: int, false_negatives: int) -> Score:
    """Return F1 = 2J / (1 + J), where J = TP / (TP + FP + FN) is a proportion.

    The map is monotone, so that J's Wilson interval maps to an interval of F1.
    """
    jaccard = proportion(true_positives, true_positives + false_positives + false_negatives)
    return Score(**{end: 2 * j / (1 + j) for end, j in jaccard})


def auc(value: float, positives: int, negatives: int) -> Score:
    """Give an area under the ROC curve its interval.

    Method 5 of Newcombe, Statistics in Medicine 25 (2006) 559: the Hanley-McNeil variance, taken
    at the end of the interval rather than at the estimate, with both sample sizes balanced.
    """
    balanced = (positives + negatives) / 2 - 1

    def excess(end: float) -> float:
        spread = 1 + balanced * ((1 - end) / (2 - end) + end / (1 + end))
        variance = end * (1 - end) * spread / (positives * negatives)
        return abs(value - end) - _Z * sqrt(variance)

    # An end of 0 or 1 solves the equation of an equal value too, but bounds nothing.
    low = 0.0 if value == 0 else brentq(excess, 0.0, min(value, 1 - _MARGIN))
    high = 1.0 if value == 1 else brentq(excess, max(value, _MARGIN), 1.0)
    return Score(value=value, low=low, high=high)


def mean(scores: Sequence[Score]) -> Score:
    """Return the mean of independent estimates, their intervals combined by MOVER.

    Zou and Donner, Statistics in Medicine 27 (2008) 1693.
    """
    n = len(scores)
    value = sum(score.value for score in scores) / n
    down = sqrt(sum((score.value - score.low) ** 2 for score in scores)) / n
    up = sqrt(sum((score.high - score.value) ** 2 for score in scores)) / n
    return Score(value=value, low=max(0.0, value - down), high=min(1.0, value + up))
