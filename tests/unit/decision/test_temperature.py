"""Calibration: known answers for every measure, and a temperature that undoes what was done."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from trainer.decision.temperature import (
    PRIOR_DEVIATION,
    adaptive_calibration_error,
    calibration_error,
    chance_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability_bins,
)


def _calibrated() -> tuple[np.ndarray, np.ndarray]:
    """At 75 % confidence three of four are right, at 50 % one of two, at 100 % all."""
    confidence = np.repeat([0.75, 0.5, 1.0], [40, 20, 10])
    right = np.concatenate([np.tile([True, True, True, False], 10), np.tile([True, False], 10)])
    return confidence, np.concatenate([right, np.ones(10, dtype=bool)])


def test_perfectly_calibrated_data_have_no_error() -> None:
    assert calibration_error(*_calibrated()) == pytest.approx(0, abs=1e-12)


def test_the_error_is_the_mean_gap_of_the_bins() -> None:
    # 3 images at 0.9, one right: gap 0.9 - 1/3; one image at 0.4, right: gap 0.6.
    confidence = np.array([0.9, 0.9, 0.9, 0.4])
    right = np.array([True, False, False, True])
    assert calibration_error(confidence, right) == pytest.approx((3 * (0.9 - 1 / 3) + 0.6) / 4)


def test_gaps_within_a_bin_cancel_and_those_of_groups_need_not() -> None:
    # 0.94 and 0.98 lie in one of 15 equal steps, but each is a group of its own.
    confidence = np.array([0.94, 0.98])
    right = np.array([True, False])
    assert calibration_error(confidence, right) == pytest.approx(0.96 - 0.5)
    assert adaptive_calibration_error(confidence, right) == pytest.approx((0.06 + 0.98) / 2)


def test_bins_hold_each_image_once_and_close_on_the_right() -> None:
    confidence = np.array([1 / 15, 1.0, 0.0, 0.5])
    found = reliability_bins(confidence, np.array([True, True, False, True]))
    assert [(b.images, round(b.low * 15), round(b.high * 15)) for b in found] == [
        (2, 0, 1),
        (1, 7, 8),
        (1, 14, 15),
    ]
    assert (found[0].confidence, found[0].accuracy) == pytest.approx((1 / 30, 0.5))


def test_negative_log_likelihood_by_hand() -> None:
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]])
    expected = (np.log(2) + np.log(4)) / 2
    assert negative_log_likelihood(probabilities, np.array([1, 0])) == pytest.approx(expected)
    # Neither infinite nor cut off at the rounding error of 1.
    far = np.array([[1.0, 1e-100]])
    assert negative_log_likelihood(far, np.array([1])) == pytest.approx(100 * np.log(10))
    assert np.isfinite(negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([1])))


def test_chance_alone_makes_an_error_that_falls_with_the_number_of_images() -> None:
    few, many = (
        chance_calibration_error(np.random.default_rng(1).uniform(0.5, 1, count))
        for count in (60, 6000)
    )
    assert 0.05 < few < 0.2
    assert many < few / 5
    assert chance_calibration_error(np.ones(50)) == 0


@given(temperature=st.floats(0.3, 4), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_the_temperature_that_was_put_in_is_found(temperature: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    honest = 2.5 * rng.standard_normal((4000, 5))
    chances = softmax(honest, axis=1).cumsum(axis=1)
    truth = (rng.random((4000, 1)) > chances).sum(axis=1).clip(max=4)
    assert fit_temperature(honest * temperature, truth) == pytest.approx(temperature, rel=0.12)


@pytest.mark.parametrize(("images", "low", "high"), [(2, 0.97, 0.99), (98, 0.6, 0.8)])
def test_a_flawless_validation_part_does_not_ask_for_certainty(
    images: int, low: float, high: float
) -> None:
    """Few images say little; many may sharpen, against the prior."""
    logits = np.tile([4.0, 0.0], (images, 1))
    temperature = fit_temperature(logits, np.zeros(images, dtype=np.int64))
    assert low < temperature < high
    # By hand: with m = 4 / T, the loss n log(1 + exp(-m)) + log(T)² / 2σ² is flat where
    # log(T) / σ² = - n m / (1 + exp(m)).
    margin = 4 / temperature
    pull = images * margin / (1 + np.exp(margin))
    assert np.log(temperature) / PRIOR_DEVIATION**2 == pytest.approx(-pull, rel=1e-3)
