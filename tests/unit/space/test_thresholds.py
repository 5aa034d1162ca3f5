"""What a model that names several defects answers, and how its rules are stored."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from space.inference.core.decision import Costs, Decision, Prediction, Rules
from space.inference.multilabel.thresholds import Thresholds, sigmoid

LABELS = ["Dots", "Lines", "Rolled"]
THRESHOLDS = Thresholds(named=[0.5, 0.75, 0.25], absent=[0.125, 0.25, 0.0625], max_missed=0.05)


def rules(thresholds: Thresholds | None = THRESHOLDS, novelty_limit: float | None = 4.0) -> Rules:
    costs = Costs(missed=20, false_alarm=2, review=1, no_defect=None)
    return Rules(LABELS, 2.0, 0.95, 0.1, costs, novelty_limit, thresholds)


def predicted(*probabilities: float, novelty: float = 1.0) -> Prediction:
    """Return the prediction of logits that give these probabilities at a temperature of 2."""
    logits = np.array([[2 * math.log(p / (1 - p)) for p in probabilities]], np.float32)
    [found] = Decision(rules(), None).conclude(logits, np.array([novelty], np.float32))
    return found


@pytest.mark.parametrize(
    ("probabilities", "defects", "candidates", "verdict"),
    [
        ((0.9, 0.2, 0.01), ("Dots",), ("Dots",), "class"),
        ((0.6, 0.8, 0.03), ("Lines", "Dots"), ("Lines", "Dots"), "class"),
        ((0.6, 0.8, 0.1), ("Lines", "Dots"), ("Lines", "Dots", "Rolled"), "unsure"),
        ((0.3, 0.6, 0.2), (), ("Lines", "Dots", "Rolled"), "unsure"),
        # Everything is ruled out: a person looks for the most probable class.
        ((0.1, 0.2, 0.05), (), ("Lines",), "unsure"),
    ],
)
def test_a_class_between_its_thresholds_is_left_to_a_person(
    probabilities: tuple[float, ...],
    defects: tuple[str, ...],
    candidates: tuple[str, ...],
    verdict: str,
) -> None:
    found = predicted(*probabilities)
    assert (found.defects, found.candidates, found.verdict) == (defects, candidates, verdict)
    assert list(found.probabilities) == LABELS
    assert list(found.probabilities.values()) == pytest.approx(list(probabilities), abs=1e-6)
    assert found.label == LABELS[int(np.argmax(probabilities))]
    assert found.required is None


def test_an_unknown_surface_is_unknown_whatever_is_named() -> None:
    found = predicted(0.9, 0.2, 0.01, novelty=4.5)
    assert (found.verdict, found.novelty) == ("unknown", 1.125)


def test_thresholds_belong_to_the_class_that_is_named_at_them() -> None:
    assert THRESHOLDS.classes([0.5, 0.25, 0.0625]) == ([0], [0, 1, 2])
    assert THRESHOLDS.classes([0.49, 0.24, 0.06]) == ([], [0])


def test_a_sigmoid_has_no_overflow() -> None:
    found = sigmoid(np.array([-2000.0, 0.0, math.log(3), 2000.0]))
    assert found.tolist() == pytest.approx([0, 0.5, 0.75, 1])


def test_rules_survive_json() -> None:
    stored = rules().to_json()
    assert Rules.from_json(stored) == rules()
    assert stored["thresholds"] == {
        "named": [0.5, 0.75, 0.25],
        "absent": [0.125, 0.25, 0.0625],
        "max_missed": 0.05,
    }


def test_rules_of_one_class_are_stored_as_before() -> None:
    stored = rules(thresholds=None).to_json()
    assert list(stored) == [
        *("labels", "temperature", "coverage", "least_probability", "costs", "novelty_limit"),
    ]
    assert Rules.from_json(stored) == rules(thresholds=None)


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        (None, "needs exactly the fields absent, max_missed, named"),
        ({"named": [0.5] * 3, "absent": [0.1] * 3}, "needs exactly the fields"),
        ({"named": [0.5] * 3, "absent": [0.1] * 3, "max_missed": 2}, "thresholds.max_missed"),
        ({"named": [0.5] * 3, "absent": [0.6] * 3, "max_missed": None}, "above thresholds.named"),
        ({"named": [0.5] * 3, "absent": [0.1] * 2, "max_missed": None}, "different lengths"),
        ({"named": [0.5] * 2, "absent": [0.1] * 2, "max_missed": None}, "not those of the labels"),
        ({"named": [True] * 3, "absent": [0.1] * 3, "max_missed": None}, "thresholds.named"),
        ({"named": [0.5] * 3, "absent": ["0"] * 3, "max_missed": None}, "thresholds.absent"),
        ({"named": [math.nan] * 3, "absent": [0] * 3, "max_missed": None}, "thresholds.named"),
    ],
)
def test_forged_thresholds_are_refused(thresholds: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Rules.from_json(rules().to_json() | {"thresholds": thresholds})
