"""Measures of several defects: by hand on six images of four pieces of surface."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit

from model_card.schema.reliability import SeveralDefects
from space.inference.core.decision import Costs, Decision, Rules
from space.inference.multilabel.thresholds import Thresholds
from trainer.evaluation.several_defects import measure_several

P = np.array(
    [
        # Named: Dots; right.
        [0.9, 0.02, 0.03],
        # Dots and Lines, both shown.
        [0.8, 0.7, 0.01],
        # Lines; Dots are shown too, but uncertain.
        [0.3, 0.9, 0.02],
        # Lines; Rolled is shown too, but ruled out.
        [0.01, 0.8, 0.04],
        # Rolled and Dots; only Rolled is shown.
        [0.6, 0.03, 0.95],
        # Nothing is named, Rolled is shown.
        [0.02, 0.2, 0.4],
    ]
)
SHOWN = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 1]], bool)
MAIN = np.array([0, 0, 1, 1, 2, 2])
GROUPS = [0, 1, 1, 2, 3, 3]


@pytest.fixture(scope="module")
def measured() -> SeveralDefects:
    return measure(slice(None))


def measure(images: slice) -> SeveralDefects:
    """Measure some of the six images."""
    thresholds = Thresholds([0.5] * 3, [0.05] * 3, 0.1)
    costs = Costs(missed=20, false_alarm=2, review=1, no_defect=None)
    rules = Rules(["Dots", "Lines", "Rolled"], 2.0, 0.9, 0.05, costs, None, thresholds)
    logits = (2 * logit(P[images])).astype(np.float32)
    decision = Decision(rules, None)
    return measure_several(
        decision,
        decision.conclude(logits, None),
        logits,
        SHOWN[images],
        MAIN[images],
        GROUPS[images],
        fitted_on="validation",
        fitted_images=50,
        fitted_groups=40,
        ood_detection=None,
    )


def test_images_with_one_and_with_several_defects(measured: SeveralDefects) -> None:
    # The first two; of one defect only the first.
    assert measured.exact.value == pytest.approx(2 / 6)
    assert (measured.one_defect, measured.several) == (3, 3)
    assert measured.one_exact.value == pytest.approx(1 / 3)
    assert measured.second_named.value == pytest.approx(1 / 3)
    # The Dots of the third image are left to a person.
    assert measured.second_possible.value == pytest.approx(2 / 3)


def test_missed_defects_are_those_ruled_out_by_piece(measured: SeveralDefects) -> None:
    missed = measured.missed
    assert (missed.promised, missed.fitted_groups, missed.groups) == (0.1, 40, 4)
    # Half of the third piece.
    assert missed.share.value == pytest.approx(1 / 8)
    assert missed.share.low < 0.125 < missed.share.high
    # One of nine, each of which counts once.
    assert missed.of_all.value == pytest.approx(1 / 9)


def test_each_class_by_itself(measured: SeveralDefects) -> None:
    dots, lines, rolled = measured.classes
    assert [each.images for each in measured.classes] == [3, 3, 3]
    assert [dots.precision.value, dots.recall.value] == pytest.approx([2 / 3, 2 / 3])
    assert [lines.precision.value, lines.recall.value] == [1, 1]
    assert [rolled.precision.value, rolled.recall.value] == pytest.approx([1, 1 / 3])
    assert [each.missed.value for each in measured.classes] == pytest.approx([0, 0, 1 / 3])
    # Of Dots the third rank is wrong.
    assert dots.average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert (lines.average_precision, rolled.average_precision) == (1, 1)
    mean = ((1 + 1 + 3 / 4) / 3 + 2) / 3
    assert measured.mean_average_precision == pytest.approx(mean)


def test_automatic_answers_and_their_cost(measured: SeveralDefects) -> None:
    # The third and the last image are left to a person.
    assert measured.unsure.value == pytest.approx(2 / 6)
    assert measured.unknown.value == 0
    assert measured.automatic == pytest.approx(4 / 6)
    assert measured.automatic_exact is not None
    assert measured.automatic_exact.value == pytest.approx(2 / 4)
    # Two reviews, a miss and a false alarm.
    assert measured.mean_cost == pytest.approx((2 * 1 + 20 + 2) / 6)
    assert measure(slice(3, 4)).mean_cost == 20
    assert measure(slice(4, 5)).mean_cost == 2


def test_calibration_is_that_of_yes_and_no(measured: SeveralDefects) -> None:
    after, before = measured.calibration.after, measured.calibration.before
    assert measured.calibration.temperature == 2
    true = np.where(SHOWN, P, 1 - P)
    assert after.negative_log_likelihood == pytest.approx(-np.log(true).mean(), rel=1e-5)
    assert after.brier == pytest.approx(2 * ((1 - true) ** 2).mean(), rel=1e-5)
    odds = (true / (1 - true)) ** 2
    raw = odds / (1 + odds)
    assert before.negative_log_likelihood == pytest.approx(-np.log(raw).mean(), rel=1e-4)
    assert sum(each.images for each in after.bins) == P.size
