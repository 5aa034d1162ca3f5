"""Two classifiers on the same images: the difference of their accuracies, and its p-value."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.stats import permutation_test

from model_card.schema.base import Score
from model_card.schema.comparison import Difference
from trainer.evaluation.metrics.intervals import grouped_proportion

# Up to 16 groups whose sign matters, all flips are counted; beyond, this many are drawn.
FLIPS = 99_999
FLIPS_AT_ONCE = 5_000

Hits = npt.NDArray[np.bool_]


def paired_difference(new: Hits, old: Hits, groups: Sequence[int]) -> Difference:
    """Return accuracy of `new` minus accuracy of `old`, with interval and p-value.

    Args:
        new: which images one classifier predicts correctly, [image].
        old: which images the other one predicts correctly.
        groups: number of the piece of surface that each image shows.
    """
    after, before = grouped_proportion(new, groups), grouped_proportion(old, groups)
    value = after.value - before.value
    low, high = _interval(after, before, _correlation(new, old, groups))
    return Difference(
        value=value,
        low=min(value, low),
        high=max(value, high),
        p_value=sign_flip_p_value(new, old, groups),
    )


def sign_flip_p_value(new: Hits, old: Hits, groups: Sequence[int]) -> float:
    """Return the two-sided p-value of the hypothesis that the classifiers are interchangeable.

    If they are, the gain of each group of images is as likely with the opposite sign: a
    randomization test (Fisher 1935, The Design of Experiments, section 21), here with whole groups,
    since images of the same piece of surface are not independent. Where each image is its own
    group, it is the exact test of McNemar. With many groups the flips are drawn, and the observed
    one is counted too (Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39).
    """
    gains = _by_group(new.astype(np.float64) - old, groups)
    # A flip of zero changes nothing.
    gains = gains[gains != 0]
    if len(gains) < 2:
        # Both signs of a single gain are equally extreme.
        return 1.0
    found = permutation_test(
        (gains, np.zeros_like(gains)),
        lambda one, other, axis: (one - other).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=FLIPS_AT_ONCE,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm, Scand. J. Statist. 6 (1979) 65)."""
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    result = np.empty(len(p_values))
    result[order] = np.minimum(np.maximum.accumulate(factors * np.asarray(p_values)[order]), 1)
    values: list[float] = result.tolist()
    return values


def _by_group(values: npt.ArrayLike, groups: Sequence[int]) -> npt.NDArray[np.float64]:
    members = np.unique(groups, return_inverse=True)[1]
    return np.bincount(members, weights=np.asarray(values)).astype(np.float64)


def _correlation(new: Hits, old: Hits, groups: Sequence[int]) -> float:
    """Return the correlation of both accuracies, from the excess of each group."""
    one, two = (_by_group(hits - hits.mean(), groups) for hits in (new, old))
    spread = sqrt(float((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / spread if spread else 0.0


def _interval(after: Score, before: Score, correlation: float) -> tuple[float, float]:
    """Return the 95 % interval of a difference, from those of both shares.

    Method 10 of Newcombe, Statistics in Medicine 17 (1998) 2635, which stays open where both are
    perfect or agree on each image. The intervals of both shares consider groups.
    """

    def reach(one: float, two: float) -> float:
        return sqrt(max(0.0, one**2 + two**2 - 2 * correlation * one * two))

    value = after.value - before.value
    low = value - reach(after.value - after.low, before.high - before.value)
    high = value + reach(after.high - after.value, before.value - before.low)
    return max(-1.0, low), min(1.0, high)
