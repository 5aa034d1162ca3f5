"""Conformal thresholds keep their promise, also on few images, whatever the scores are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.decision.conformal import conformal_quantile, least_probability


def test_the_98th_percentile_rejects_2_percent() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100_000.0))
    limit = conformal_quantile(scores, 0.02)
    assert limit == 98_000
    assert (scores > limit).mean() == pytest.approx(0.02, abs=1e-5)


@pytest.mark.parametrize(("images", "limit"), [(48, math.inf), (49, 49.0), (99, 98.0)])
def test_too_few_images_promise_nothing(images: int, limit: float) -> None:
    assert conformal_quantile(np.arange(1.0, images + 1), 0.02) == limit


@given(
    scores=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60),
    exceeded=st.floats(0.01, 0.99),
)
def test_of_n_plus_1_scores_few_enough_exceed_the_limit_of_the_others(
    scores: list[float], exceeded: float
) -> None:
    """Each of the scores is as likely to be the new one, so that this is the whole promise."""
    values = np.asarray(scores)
    above = sum(
        value > conformal_quantile(np.delete(values, place), exceeded)
        for place, value in enumerate(values)
    )
    assert above / len(values) <= exceeded + 1e-9


@given(seed=st.integers(0, 10_000), coverage=st.sampled_from([0.8, 0.9, 0.95]))
@settings(max_examples=25, deadline=None)
def test_sets_hold_the_true_class_as_often_as_promised(seed: int, coverage: float) -> None:
    """Also where the probabilities are far too high: nothing is asked of the model."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, 4000)
    strength = rng.normal(0, 2, (4000, 4))
    strength[np.arange(4000), truth] += 2
    sharpened = np.exp(3 * strength)
    probabilities = sharpened / sharpened.sum(axis=1, keepdims=True)
    known, new = slice(None, 2000), slice(2000, None)
    limit = least_probability(probabilities[known], truth[known], coverage)
    held = probabilities[new][np.arange(2000), truth[new]] >= limit
    assert held.mean() == pytest.approx(coverage, abs=0.045)


def test_with_too_few_images_a_set_holds_all_classes() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert least_probability(probabilities, np.array([0, 1]), 0.95) == 0
