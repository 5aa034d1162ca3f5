"""Passports: which format is published, and what is measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal, cast

import numpy as np
import pytest
from datasets import Dataset

from model_card.schema.base import Score
from space.inference.core.classifier import Observation
from space.inference.core.decision import Prediction
from trainer.evaluation.metrics.intervals import grouped_proportion
from trainer.exporting import passport as passports
from trainer.exporting.passport import (
    Measurement,
    PreparedImages,
    measure,
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
        (9950, 10000, 0.9, None),
        (9949, 10000, 0.9, "decides 51 of 10000 test images differently"),
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
    unsure = Prediction({"good": 0.1, "scratch": 0.9}, ("scratch", "good"), "class")
    changed = [*predictions[:2], unsure, decided("good")]
    images = PreparedImages([], np.array([0, 1, 0, 1]), [0, 1, 2, 3], [])
    classifier: Any = SimpleNamespace(
        labels=LABELS, decision=object(), engine=SimpleNamespace(name="Engine 1")
    )
    found = measured(changed, 0.25)
    found.logits[2, 1] += 0.5
    passport = write_passport(
        *("onnx", "ONNX", ["a.onnx"], 7, cast(Any, classifier)),
        *(found, measured(predictions, 0.0), images),
        precision="bf16",
    )
    assert passport.precision == "bf16"
    assert (passport.accuracy.value, passport.same_decision) == (0.25, 0.75)
    assert passport.coverage is not None
    assert passport.coverage.value == 0.5
    # Confidence 0.9, a quarter of the answers correct.
    assert passport.calibration_error == pytest.approx(0.65)
    assert passport.largest_logit_difference == 0.75
    # Of 8 pairs, one known image scores above an unknown one.
    assert passport.ood_auroc == pytest.approx(7 / 8)
    assert (passport.ms_one, passport.ms_sixteen) == (2, 1)
    assert passport.files == []
    assert "decides 1 of 4" in (passport.refused or "")


def test_the_accuracy_is_compared_with_the_interval_of_the_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(passports, "why_refused", lambda *given: asked.append(given))
    truth, groups = np.array([0, 0, 0, 0, 1, 1]), [0, 0, 1, 1, 2, 2]
    by_weights = [decided("good")] * 6
    by_file = [decided("scratch")] * 2 + by_weights[2:]
    classifier: Any = SimpleNamespace(
        labels=LABELS, decision=object(), engine=SimpleNamespace(name="Engine 1")
    )
    images = PreparedImages([], truth, groups, [])
    write_passport(
        *("onnx", "ONNX", ["a.onnx"], 7, classifier),
        *(measured(by_file, 0), measured(by_weights, 0), images),
        precision="f32",
    )
    right = grouped_proportion([0, 0, 1, 1, 0, 0], groups)
    expected = grouped_proportion([1, 1, 1, 1, 0, 0], groups)
    assert asked == [(4, 6, right, expected)]
    assert expected != grouped_proportion([1, 1, 1, 1, 0, 0], range(6))


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


class Numbers:
    """A classifier of numbers, whose engine takes 1 s and another one for each image."""

    def __init__(self, *, rejects: bool) -> None:
        detector = (
            SimpleNamespace(novelty=lambda statistics: statistics[0][:, 0]) if rejects else None
        )
        self.decision = SimpleNamespace(detector=detector)
        self.facts = SimpleNamespace(multi_label=True)
        self.engine = self
        self.clock = 0.0

    def prepare(self, image: float) -> np.ndarray:
        return np.full((1, 1), image)

    def observe_prepared(self, inputs: list[np.ndarray]) -> Observation:
        numbers = np.concatenate(inputs)
        return Observation(np.hstack([numbers, -numbers]), [10 * numbers])

    def predict_from(self, seen: Observation) -> list[Prediction]:
        return [decided("good" if row[0] > row[1] else "scratch") for row in seen.logits]

    def run(self, pixels: np.ndarray) -> None:
        self.clock += 1 + len(pixels)


def prepared(
    classifier: Numbers, images: list[float], monkeypatch: pytest.MonkeyPatch
) -> PreparedImages:
    """Prepare a test split of numbers, and two numbers beside it."""
    rows = {"image": images, "label": [0] * len(images), "group": [*range(len(images))]}
    monkeypatch.setattr(passports, "open_image", lambda row: row["image"])
    monkeypatch.setattr(passports, "shown_classes", len)
    monkeypatch.setattr("trainer.exporting.passport.time.perf_counter", lambda: classifier.clock)
    ood: Any = [8.0, 9.0]
    return PreparedImages.prepare(cast(Any, classifier), Dataset.from_dict(rows), ood)


def test_all_images_are_measured_and_the_time_of_one_is_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier = Numbers(rejects=True)
    # More than a batch.
    images = prepared(classifier, [float(number - 5) for number in range(20)], monkeypatch)
    assert images.groups == [*range(20)]
    assert cast(Any, images.shown) == 20
    found = measure(cast(Any, classifier), images)
    assert found.logits[:, 0].tolist() == [number - 5 for number in range(20)]
    assert [each.label for each in found.predictions] == ["scratch"] * 6 + ["good"] * 14
    known, unknown = found.novelty
    assert known.tolist() == [10 * (number - 5) for number in range(20)]
    assert unknown.tolist() == [80, 90]
    assert (found.seconds_one, found.seconds_sixteen) == (2, 17 / 16)


def test_a_model_that_rejects_nothing_is_not_tried_on_unknown_surfaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier = Numbers(rejects=False)
    images = prepared(classifier, [1.0, 2.0], monkeypatch)
    assert images.ood == []
    assert [len(each) for each in measure(cast(Any, classifier), images).novelty] == [0, 0]
