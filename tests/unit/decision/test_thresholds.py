"""Thresholds of several defects: of the lowest cost, and few enough defects ruled out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from space.inference.core.decision import Costs
from trainer.config.groups import DecisionConfig
from trainer.decision.rules import fit_multi_label_rules
from trainer.decision.temperature import fit_sigmoid_temperature
from trainer.decision.thresholds import (
    controlled_threshold,
    cost_limits,
    cost_threshold,
    fit_thresholds,
    missed_share,
)


def costs(missed: float, false_alarm: float, review: float) -> Costs:
    return Costs(missed, false_alarm, review, None)


@pytest.mark.parametrize(
    ("given_costs", "limits"),
    [
        # A review costs as much as naming at 1/2 and as ruling out at 1/20.
        (costs(20, 2, 1), (0.5, 0.05)),
        # It never pays: a class is named or ruled out, at 2 / (20 + 2).
        (costs(20, 2, 5), (2 / 22, 2 / 22)),
        (costs(0, 2, 1), (1, 1)),
        (costs(20, 0, 1), (0, 0)),
        (costs(0, 0, 1), (0.5, 0.5)),
    ],
)
def test_each_action_is_taken_where_it_costs_least(
    given_costs: Costs, limits: tuple[float, float]
) -> None:
    assert cost_limits(given_costs) == pytest.approx(limits)
    name_from, absent_below = limits
    for p in np.linspace(0.001, 0.999, 97):
        actions = {
            "name": (1 - p) * given_costs.false_alarm,
            "rule out": p * given_costs.missed,
            "review": given_costs.review,
        }
        taken = "name" if p >= name_from else "rule out" if p < absent_below else "review"
        assert actions[taken] == pytest.approx(min(actions.values()))


def test_a_class_is_named_from_the_threshold_of_the_lowest_cost() -> None:
    probabilities = np.array([0.1, 0.3, 0.6, 0.8])
    shown = np.array([False, True, False, True])
    # With their probabilities counted twice, they show 0.2, 1.6, 1.2 and 2.6 thirds of the class:
    # half of 3.4 thirds is the cost at 0.7, of 3.8 at 0.2, and of 4.0 at 0.45.
    assert cost_threshold(probabilities, shown, 0.5) == pytest.approx(0.7)
    # A false alarm costs 0.4 now, a miss 0.6.
    assert cost_threshold(probabilities, shown, 0.4) == pytest.approx(0.2)
    # Of equally good thresholds, the limit itself is the nearest.
    assert cost_threshold(probabilities, np.array([0, 0, 1, 1], bool), 0.4) == 0.4


def test_risk_control_by_hand() -> None:
    # Three pieces with one defect each: k misses give (k + 1) / 4.
    p, shown = np.array([[0.5], [0.2], [0.9]]), np.ones((3, 1), bool)
    thresholds = {
        alpha: controlled_threshold(p, shown, [7, 8, 9], alpha)
        for alpha in (0.2, 0.25, 0.49, 0.5, 0.75, 1.0)
    }
    assert thresholds == {0.2: None, 0.25: 0.2, 0.49: 0.2, 0.5: 0.5, 0.75: 0.9, 1.0: 1.0}


def test_each_piece_of_surface_counts_once() -> None:
    # One piece of two images with three defects, another with one.
    p = np.array([[0.1, 0.3], [0.6, 0.9], [0.4, 0.2]])
    shown = np.array([[True, True], [True, False], [True, False]])
    pieces = [4, 4, 5]
    # Mean losses of 1/6, 1/3 and 5/6 give 4/9, 5/9 and 8/9.
    for alpha, highest in ((0.4, 0.1), (0.45, 0.3), (0.56, 0.4), (0.89, 0.6)):
        assert controlled_threshold(p, shown, pieces, alpha) == highest
    # The same images again are no further piece.
    twice = controlled_threshold(np.tile(p, (3, 1)), np.tile(shown, (3, 1)), pieces * 3, 0.45)
    assert twice == 0.3
    assert missed_share(p >= 0.4, shown, pieces).tolist() == pytest.approx([2 / 3, 0])
    nothing_shown = np.zeros((1, 2), bool)
    assert len(missed_share(nothing_shown, nothing_shown, [0])) == 0


@given(data=st.data(), alpha=st.floats(0.05, 0.9))
def test_of_n_plus_1_pieces_few_enough_defects_are_ruled_out(
    data: st.DataObject, alpha: float
) -> None:
    """Each piece is as likely to be the new one, so that this is the whole promise."""
    pieces = data.draw(st.integers(2, 25))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    groups = np.concatenate([np.arange(pieces), rng.integers(0, pieces, 2 * pieces)])
    shown = rng.random((len(groups), 3)) < 0.5
    shown[:pieces, 0] = True
    # Rounded, so that some are equal.
    p = rng.beta(1 + 2 * shown, 1.5).round(data.draw(st.integers(1, 3)))
    losses = []
    for new in range(pieces):
        of_others = groups != new
        limit = controlled_threshold(p[of_others], shown[of_others], groups[of_others], alpha)
        if limit is None:
            assert 1 / pieces > alpha
            return
        [loss] = missed_share(p[~of_others] >= limit, shown[~of_others], groups[~of_others])
        losses.append(loss)
    assert np.mean(losses) <= alpha + 1e-9


def test_costs_set_the_thresholds_and_risk_control_lowers_them() -> None:
    # 30 pieces; each shows one of two classes, at 0.8 or, once, at 0.03.
    shown = np.eye(2, dtype=bool)[np.arange(30) % 2]
    p = np.where(shown, 0.8, 0.01)
    p[0, 0] = 0.03
    loose = fit_thresholds(p, shown, range(30), costs(20, 2, 1), 0.1)
    assert loose.named == [0.5, 0.5]
    assert loose.absent == [0.05, 0.05]
    # One miss among 30 gives (1 + 1) / 31 > 0.05: the threshold must not rule out 0.03.
    strict = fit_thresholds(p, shown, range(30), costs(20, 2, 1), 0.05)
    assert strict.absent == [0.03, 0.03]
    assert (loose.max_missed, strict.max_missed) == (0.1, 0.05)
    # 30 pieces can't promise 3 %: 1 / 31 is more.
    unpromised = fit_thresholds(p, shown, range(30), costs(20, 2, 1), 0.03)
    assert unpromised.absent == [0.05, 0.05]
    assert unpromised.max_missed is None


def test_no_class_is_ruled_out_above_the_threshold_of_naming() -> None:
    shown = np.array([[True, False]] * 40 + [[True, True]])
    p = np.where(shown, 0.02, 0.001)
    found = fit_thresholds(p, shown, range(41), costs(20, 2, 5), 0.9)
    assert found.named == pytest.approx([0.01, 0.0105])
    assert found.absent == pytest.approx([0.01, 0.0105])


def test_the_temperature_of_sigmoids_undoes_overconfidence() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, (400, 3))
    shown = rng.random(p.shape) < p
    assert fit_sigmoid_temperature(logit(p), shown) == pytest.approx(1, abs=0.1)
    assert fit_sigmoid_temperature(2 * logit(p), shown) == pytest.approx(2, abs=0.2)


def test_rules_are_fitted_to_calibrated_probabilities() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(0.3, 0.6, (300, 2))
    shown = rng.random(p.shape) < p
    config = DecisionConfig(cost_missed=30, cost_false_alarm=3, cost_review=1, max_missed=0.1)
    rules = fit_multi_label_rules(
        ["a", "b"], 3 * logit(p), shown, list(range(300)), None, np.zeros(0), config
    ).rules
    assert rules.temperature == pytest.approx(fit_sigmoid_temperature(3 * logit(p), shown))
    assert rules.temperature > 2.5
    calibrated = expit(3 * logit(p) / rules.temperature)
    expected = fit_thresholds(calibrated, shown, range(300), rules.costs, config.max_missed)
    assert rules.thresholds is not None
    assert rules.thresholds.named == pytest.approx(expected.named)
    assert rules.thresholds.absent == pytest.approx(expected.absent)
    assert rules.thresholds.max_missed == 0.1
    assert (rules.labels, rules.novelty_limit) == (["a", "b"], None)
