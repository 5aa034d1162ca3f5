"""Passports: which format is published, and what is measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal, cast

import numpy as np
import pytest

from model_card.schema.base import Score
from space.inference.core.decision import Prediction
from trainer.exporting.passport import (
    Measurement,
    PreparedImages,
    same_decision,
    why_refused,
    write_passport,
)

LABELS = ["good", "scratch"]
WEIGHTS = Score(value=0.9, low=0.85, high=0.94)


def decided(
    label: str, verdict: Literal["class", "unsure", "unknown"] = "class", p: float = 0.9
) -> Prediction:
    other = next(each for each in LABELS if each != label)
    ordered = {label: p, other: 1 - p}
    return Prediction({each: ordered[each] for each in LABELS}, (label,), verdict)


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (decided("good"), decided("good", p=0.7), True),
        (decided("good"), decided("scratch"), False),
        (decided("good"), decided("good", "unsure"), False),
        (decided("good", "unsure"), decided("scratch", "unsure"), False),
        (decided("good", "unknown"), decided("scratch", "unknown"), True),
    ],
)
def test_a_decision_is_what_somebody_acts_on(
    ours: Prediction, theirs: Prediction, same: bool
) -> None:
    assert same_decision(ours, theirs) is same


@pytest.mark.parametrize(
    ("same", "images", "accuracy", "words"),
    [
        (1000, 1000, 0.9, None),
        (995, 1000, 0.9, None),
        (994, 1000, 0.9, "decides 6 of 1000 test images differently"),
        (99, 100, 0.9, "decides 1 of 100"),
        (1000, 1000, 0.85, None),
        (1000, 1000, 0.849, "accuracy of 84.9 % is below the interval of the weights, 85.0 to"),
    ],
)
def test_half_a_percent_of_changed_decisions_is_refused(
    same: int, images: int, accuracy: float, words: str | None
) -> None:
    found = why_refused(same, images, Score(value=accuracy, low=0, high=1), WEIGHTS)
    assert found is None if words is None else words in (found or "")


def measured(predictions: list[Prediction], shift: float) -> Measurement:
    logits = np.array([[1.0, -1.0]] * len(predictions)) + shift
    novelty = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.35, 0.9])
    return Measurement(logits, predictions, novelty, 0.002, 0.001)


def test_a_passport_compares_with_the_weights() -> None:
    predictions = [decided("good"), decided("good"), decided("scratch"), decided("scratch")]
    changed = [*predictions[:3], decided("good")]
    images = PreparedImages([], np.array([0, 1, 1, 1]), [0, 1, 2, 3], [])
    classifier: Any = SimpleNamespace(
        labels=LABELS, decision=object(), engine=SimpleNamespace(name="Engine 1")
    )
    passport = write_passport(
        *("onnx", "ONNX", ["a.onnx"], 7, cast(Any, classifier)),
        *(measured(changed, 0.25), measured(predictions, 0.0), images),
        precision="bf16",
    )
    assert passport.precision == "bf16"
    assert (passport.accuracy.value, passport.same_decision) == (0.5, 0.75)
    assert passport.coverage is not None
    assert passport.coverage.value == 0.5
    # Confidence 0.9, half of the answers correct.
    assert passport.calibration_error == pytest.approx(0.4)
    assert passport.largest_logit_difference == 0.25
    # Of 8 pairs, one known image scores above an unknown one.
    assert passport.ood_auroc == pytest.approx(7 / 8)
    assert (passport.ms_one, passport.ms_sixteen) == (2, 1)
    assert passport.files == []
    assert "decides 1 of 4" in (passport.refused or "")


def several(verdict: Any, defects: tuple[str, ...], candidates: tuple[str, ...]) -> Prediction:
    return Prediction({"a": 0.9, "b": 0.6}, candidates, verdict, defects=defects)


@pytest.mark.parametrize(
    ("theirs", "same"),
    [
        (several("class", ("b", "a"), ("b", "a")), True),
        (several("class", ("a",), ("a",)), False),
        (several("unsure", ("a", "b"), ("a", "b")), False),
    ],
)
def test_several_defects_are_decided_alike_if_the_same_are_named(
    theirs: Prediction, same: bool
) -> None:
    assert same_decision(several("class", ("a", "b"), ("a", "b")), theirs) is same


def test_what_a_person_should_look_for_is_part_of_the_decision() -> None:
    ours = several("unsure", ("a",), ("a", "b"))
    assert same_decision(ours, several("unsure", ("a",), ("b", "a")))
    assert not same_decision(ours, several("unsure", (), ("a", "b")))
    assert not same_decision(ours, several("unsure", ("a",), ("a", "b", "c")))


def test_the_calibration_of_several_defects_is_that_of_each_class() -> None:
    predictions = [several("class", ("a", "b"), ("a", "b"))] * 2
    shown = np.array([[True, True], [True, False]])
    images = PreparedImages([], np.array([0, 0]), [0, 1], [], shown)
    classifier: Any = SimpleNamespace(
        labels=["a", "b"], decision=object(), engine=SimpleNamespace(name="Engine 1")
    )
    passport = write_passport(
        *("onnx", "ONNX", ["a.onnx"], 7, cast(Any, classifier)),
        *(measured(predictions, 0.0), measured(predictions, 0.0), images),
        precision="f32",
    )
    # At 0.9 all are correct, at 0.6 one of two.
    assert passport.calibration_error == pytest.approx((2 * 0.1 + 2 * 0.1) / 4)
