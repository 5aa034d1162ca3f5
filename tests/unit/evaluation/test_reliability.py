"""When a person should look: hand-computed limits, curves and costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from space.inference.core.decision import Costs, Decision, Rules
from space.inference.core.novelty import MahalanobisDetector, StageStatistics
from trainer.config.groups import DecisionConfig
from trainer.decision.outputs import HeldOutOutputs
from trainer.evaluation.rejection import area_under_risk, confidence_limit, risk_coverage
from trainer.evaluation.reliability import apply_decision, join, measure


def test_a_look_pays_below_the_confidence_where_the_risk_costs_as_much() -> None:
    assert confidence_limit(missed=20, false_alarm=2, review=1) == pytest.approx(21 / 22)
    assert confidence_limit(missed=3, false_alarm=1, review=8) == 0
    assert confidence_limit(missed=0, false_alarm=0, review=1) == 0


def test_risk_and_coverage_by_hand() -> None:
    confidence = np.array([0.6, 0.9, 0.8, 0.6])
    right = np.array([True, True, False, False])
    coverage, risk = risk_coverage(confidence, right)
    # 0.9 right; 0.8 wrong; then both at 0.6, of which one is wrong.
    assert coverage.tolist() == [0.25, 0.5, 1.0]
    assert risk.tolist() == [0, 0.5, 0.5]
    assert area_under_risk(coverage, risk) == pytest.approx(0.25 * 0 + 0.25 * 0.5 + 0.5 * 0.5)


def _decision() -> Decision:
    stage = StageStatistics(np.zeros(1), np.eye(1), np.zeros((2, 1)))
    rules = Rules(
        labels=["pit", "scratch"],
        temperature=1,
        coverage=0.9,
        least_probability=0.3,
        costs=Costs(missed=6, false_alarm=2, review=1, no_defect=None),
        novelty_limit=2,
    )
    return Decision(rules, MahalanobisDetector({1: stage}))


def _outputs() -> HeldOutOutputs:
    """Five images: sure and right, sure and wrong, unsure, unknown, sure and right."""
    chances = np.array([[0.9, 0.1], [0.95, 0.05], [0.4, 0.6], [0.99, 0.01], [0.1, 0.9]])
    return HeldOutOutputs(
        logits=np.log(chances),
        truth=np.array([0, 1, 1, 0, 1]),
        novelty=np.array([0.5, 1.0, 2.0, 2.5, 1.5]),
        reference_novelty=np.arange(50.0),
        ood={"noise": np.array([1.2, 4.0, 6.0])},
        left_out={"pit": (np.array([1.0, 2.0]), np.array([3.0, 1.5]))},
    )


def test_what_is_measured_of_five_images() -> None:
    decision = _decision()
    predictions, outcomes = apply_decision(decision, _outputs())
    assert [p.verdict for p in predictions] == ["class", "class", "unsure", "unknown", "class"]
    reliability = measure(
        decision,
        outcomes,
        DecisionConfig(),
        fitted_on="validation",
        fitted_images=9,
        reference_images=50,
        network_saw_left_out=False,
    )
    # Twice the squared error of one of two classes: 0.1, 0.95, 0.4, 0.01 and 0.1.
    assert reliability.calibration.before.brier == pytest.approx(2 * 1.0826 / 5)
    point = reliability.operating_point
    assert (point.unsure.value, point.unknown.value) == (0.2, 0.2)
    assert point.automatic_accuracy is not None
    assert point.automatic_accuracy.value == pytest.approx(2 / 3)
    # One mistake for 6 + 2 and two looks for 1; or one mistake; or five looks.
    costs = (point.mean_cost, point.mean_cost_automatic, point.mean_cost_manual)
    assert costs == pytest.approx((10 / 5, 8 / 5, 1))
    assert point.confidence_limit == pytest.approx(7 / 8)
    sets = reliability.sets
    assert (sets.coverage.value, sets.mean_size) == pytest.approx((0.8, 6 / 5))
    assert [(c.images, c.coverage.value, c.mean_size) for c in sets.classes] == [
        (2, 1.0, 1.0),
        (3, pytest.approx(2 / 3), pytest.approx(4 / 3)),
    ]
    unknown = reliability.ood_detection
    assert unknown is not None
    assert unknown.test_rejected.value == 0.2
    [noise] = unknown.kinds
    assert noise.rejected.value == pytest.approx(2 / 3)
    # 1.2 is above 0.5 and 1.0 of the five; 4 and 6 are above all.
    assert noise.auroc == pytest.approx((2 + 5 + 5) / 15)
    assert noise.novelty.p50 == 2.0
    [pit] = unknown.left_out
    assert pit.auroc == pytest.approx(3 / 4)
    assert reliability.calibration.before == reliability.calibration.after, "the temperature is 1"


def test_folds_are_measured_together() -> None:
    _, outcomes = apply_decision(_decision(), _outputs())
    together = join([outcomes, outcomes])
    assert len(together.truth) == 10
    assert together.ood["noise"].tolist() == [0.6, 2, 3] * 2


def test_where_one_fold_rejects_nothing_nothing_is_said_of_all() -> None:
    _, outcomes = apply_decision(_decision(), _outputs())
    plain = Decision(replace(_decision().rules, novelty_limit=None), None)
    _, without = apply_decision(plain, _outputs())
    together = join([outcomes, without])
    assert (together.ood, together.left_out) == ({}, {})
