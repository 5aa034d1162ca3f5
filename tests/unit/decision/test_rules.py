"""Rules of a decision: each is fitted with the ones before it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from trainer.config.groups import DecisionConfig
from trainer.decision.conformal import least_probability
from trainer.decision.rules import fit_rules
from trainer.decision.temperature import fit_temperature

LABELS = ["a", "b", "c"]


def test_the_set_threshold_is_fitted_to_calibrated_probabilities() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 200)
    # Far too confident: the true class leads in two of three images, always by the same distance.
    named = np.where(rng.random(200) < 2 / 3, truth, (truth + 1) % 3)
    logits = 9 * np.eye(3)[named] + rng.normal(0, 0.5, (200, 3))
    config = DecisionConfig(coverage=0.8, cost_missed=7, cost_false_alarm=3, cost_review=2)
    rules = fit_rules(LABELS, logits, truth, None, np.zeros(0), config).rules
    assert rules.temperature == pytest.approx(fit_temperature(logits, truth))
    assert rules.temperature > 2
    calibrated = least_probability(softmax(logits / rules.temperature, axis=1), truth, 0.8)
    assert rules.least_probability == pytest.approx(calibrated)
    assert calibrated > 2 * least_probability(softmax(logits, axis=1), truth, 0.8)
    assert (rules.labels, rules.coverage, rules.novelty_limit) == (LABELS, 0.8, None)
    costs = rules.costs
    assert (costs.missed, costs.false_alarm, costs.review, costs.no_defect) == (7, 3, 2, None)
