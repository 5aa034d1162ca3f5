"""The `evaluate` module and its intervals, against hand-computed answers and scikit-learn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import sqrt
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from model_card.metrics import METRICS
from model_card.schema.base import Score
from trainer.evaluation.metrics import definitions, intervals
from trainer.evaluation.scores import METRICS_DIR

NAMES = ("accuracy", "error_rate", "sensitivity", "specificity", "precision", "f1", "auc")
Z = 1.959963984540054

# Rows: true class. Four of class 0 (one taken for 1), three of 1, one of 2, which is never
# predicted: TP, FP, FN, TN are 3 1 1 3, 2 2 1 3 and 0 0 1 7.
REFERENCES = [0, 0, 0, 0, 1, 1, 1, 2]
PREDICTIONS = [0, 0, 0, 1, 1, 1, 0, 1]
BY_HAND: dict[str, tuple[float, list[float]]] = {
    "accuracy": (5 / 8, [6 / 8, 5 / 8, 7 / 8]),
    "error_rate": (3 / 8, [2 / 8, 3 / 8, 1 / 8]),
    "sensitivity": ((3 / 4 + 2 / 3 + 0) / 3, [3 / 4, 2 / 3, 0]),
    "specificity": ((3 / 4 + 3 / 5 + 1) / 3, [3 / 4, 3 / 5, 1]),
    "precision": ((3 / 4 + 2 / 4 + 0) / 3, [3 / 4, 2 / 4, 0]),
    "f1": ((6 / 8 + 4 / 7 + 0) / 3, [6 / 8, 4 / 7, 0]),
}


@pytest.fixture(scope="module")
def module() -> Any:
    return evaluate.load(str(METRICS_DIR))


def certain(predicted: list[int], classes: int = 3) -> list[list[float]]:
    """Return probabilities of 1 for the predicted classes."""
    return [[float(label == each) for label in range(classes)] for each in predicted]


@pytest.mark.parametrize("name", BY_HAND)
def test_small_confusion(module: Any, name: str) -> None:
    result = module.compute(predictions=certain(PREDICTIONS), references=REFERENCES)[name]
    overall, by_class = BY_HAND[name]
    assert result["value"] == pytest.approx(overall)
    assert [part["value"] for part in result["by_class"]] == pytest.approx(by_class)


def test_precision_of_a_class_never_predicted_is_unknown(module: Any) -> None:
    result = module.compute(predictions=certain(PREDICTIONS), references=REFERENCES)["precision"]
    assert result["by_class"][2] == {"value": 0.0, "low": 0.0, "high": 1.0}


def test_auc_counts_ordered_pairs(module: Any) -> None:
    # Class 0 at .9 .4 against .5 .4 .1: of six pairs 4 in order, and a tie, which is half.
    scores = [0.9, 0.4, 0.5, 0.4, 0.1]
    probabilities = [[s, 1 - s] for s in scores]
    result = module.compute(predictions=probabilities, references=[0, 0, 1, 1, 1])["auc"]
    assert [part["value"] for part in result["by_class"]] == pytest.approx([4.5 / 6] * 2)
    assert result["value"] == pytest.approx(4.5 / 6)


def test_auc_of_ties_is_a_half(module: Any) -> None:
    result = module.compute(predictions=[[0.25] * 4] * 8, references=[0, 1, 2, 3] * 2)["auc"]
    assert [part["value"] for part in result["by_class"]] == [0.5] * 4
    assert result["value"] == 0.5


@settings(max_examples=15, deadline=None)
@given(classes=st.integers(2, 5), more=st.integers(0, 40), seed=st.integers(0, 2**32 - 1))
@pytest.mark.slow
def test_agrees_with_scikit_learn(module: Any, classes: int, more: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), rng.integers(classes, size=more)])
    # Few levels, so that ties occur.
    probabilities = rng.integers(1, 6, size=(len(truth), classes)).astype(float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)

    averages = {"average": None, "labels": range(classes), "zero_division": 0.0}
    precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        truth, predicted, **averages
    )
    negatives = [sklearn_metrics.recall_score(truth != c, predicted != c) for c in range(classes)]
    areas = [sklearn_metrics.roc_auc_score(truth == c, probabilities[:, c]) for c in range(classes)]
    accuracy = sklearn_metrics.accuracy_score(truth, predicted)
    of_class = [sklearn_metrics.accuracy_score(truth == c, predicted == c) for c in range(classes)]
    expected = {
        "accuracy": (accuracy, of_class),
        "error_rate": (1 - accuracy, [1 - a for a in of_class]),
        "sensitivity": (np.mean(recall), list(recall)),
        "specificity": (np.mean(negatives), negatives),
        "precision": (np.mean(precision), list(precision)),
        "f1": (np.mean(f1), list(f1)),
        "auc": (np.mean(areas), areas),
    }
    computed = module.compute(predictions=probabilities, references=truth)
    assert computed.keys() == expected.keys()
    for name, (overall, by_class) in expected.items():
        result = computed[name]
        assert result["value"] == pytest.approx(overall), name
        assert [part["value"] for part in result["by_class"]] == pytest.approx(by_class), name
        for part in (result, *result["by_class"]):
            assert 0 <= part["low"] <= part["value"] <= part["high"] <= 1, name


@pytest.mark.slow
def test_loads_without_a_network(tmp_path: Path) -> None:
    script = """
import json, socket, sys
def refuse(self, address):
    raise AssertionError(f"a connection to {address}")
socket.socket.connect = socket.socket.connect_ex = refuse
import evaluate
module = evaluate.load(sys.argv[1])
found = module.compute(predictions=[[1, 0], [0, 1]], references=[0, 1])
print(json.dumps({name: result["value"] for name, result in found.items()}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(METRICS_DIR)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(NAMES, 1) | {"error_rate": 0}


def test_wilson_interval_of_published_examples() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3.
    for hits, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = intervals.proportion(hits, trials)
        assert found.value == hits / trials
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_images_of_one_piece_count_as_one_where_they_agree() -> None:
    """Ten pieces of four images, each all right or all wrong: ten independent looks."""
    hits = [True] * 32 + [False] * 8
    pieces = [image // 4 for image in range(40)]
    found = intervals.grouped_proportion(hits, pieces)
    # Variances of the share: between pieces p (1 - p) / 9, of independent images p (1 - p) / 39.
    effective = 40 * 9 / 39
    centre = (0.8 + Z**2 / (2 * effective)) / (1 + Z**2 / effective)
    reach = Z * sqrt(0.16 / effective + Z**2 / (4 * effective**2)) / (1 + Z**2 / effective)
    assert (found.value, found.low, found.high) == pytest.approx(
        (0.8, centre - reach, centre + reach)
    )


@given(hits=st.lists(st.booleans(), min_size=1, max_size=60), data=st.data())
def test_groups_widen_the_interval_or_leave_it(hits: list[bool], data: st.DataObject) -> None:
    sizes = st.lists(st.integers(0, 5), min_size=len(hits), max_size=len(hits))
    plain = intervals.proportion(sum(hits), len(hits))
    found = intervals.grouped_proportion(hits, data.draw(sizes))
    assert found.value == pytest.approx(plain.value)
    assert found.low <= plain.low + 1e-9 and found.high >= plain.high - 1e-9


@given(hits=st.lists(st.booleans(), max_size=60))
def test_images_of_their_own_pieces_are_independent(hits: list[bool]) -> None:
    plain = intervals.proportion(sum(hits), len(hits))
    found = intervals.grouped_proportion(hits, range(len(hits)))
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_accuracy_and_error_rate_know_the_pieces(module: Any) -> None:
    # One image of another class, since a ROC curve needs two.
    right = [True] * 32 + [False] * 8 + [True]
    given: dict[str, Any] = {"references": [0] * 40 + [1]}
    given["predictions"] = certain([0] * 32 + [1] * 8 + [1], classes=2)
    pieces = [image // 4 for image in range(41)]
    computed = module.compute(**given, groups=pieces)
    accuracy, wrong = computed["accuracy"], computed["error_rate"]
    expected = intervals.grouped_proportion(right, pieces)
    assert (accuracy["low"], accuracy["high"]) == (expected.low, expected.high)
    assert (wrong["low"], wrong["high"]) == pytest.approx((1 - expected.high, 1 - expected.low))
    alone = module.compute(**given)["accuracy"]
    assert alone["low"] == pytest.approx(intervals.proportion(33, 41).low)


def test_every_metric_is_computed_and_described(module: Any) -> None:
    """A metric that is computed and forgotten in the table, or the other way round."""
    computed = module.compute(predictions=[[1, 0], [0, 1]], references=[0, 1])
    assert set(METRICS) == set(computed)
    assert all(name == metric.name for name, metric in METRICS.items())
    of_images = {name for name, metric in METRICS.items() if not metric.mean_of_classes}
    assert of_images == set(definitions.OF_IMAGES)


def test_perfect_scores_are_not_certain() -> None:
    for perfect in (
        intervals.proportion(30, 30),
        intervals.f1(30, 0, 0),
        intervals.auc(1.0, 30, 150),
        intervals.mean([intervals.proportion(30, 30)] * 6),
    ):
        assert perfect.value == perfect.high == 1
        assert 0.8 < perfect.low < 0.99
    worst = intervals.auc(0.0, 30, 150)
    assert worst.value == worst.low == 0
    assert 0.01 < worst.high < 0.2
    # All of n right: Wilson's lower end is n / (n + z²).
    assert intervals.proportion(30, 30).low == pytest.approx(30 / (30 + Z**2))


def test_f1_interval_is_that_of_the_jaccard_index() -> None:
    # Of 29 images called or being the class, 1 is both: J is 1/29, the published example above.
    found = intervals.f1(1, 20, 8)
    assert found.value == pytest.approx(2 / 30)
    assert found.low == pytest.approx(2 * 0.0061 / 1.0061, abs=1e-4)
    assert found.high == pytest.approx(2 * 0.1718 / 1.1718, abs=1e-4)


def test_auc_interval_solved_by_hand() -> None:
    # One image of each kind: (1 - L)² = z² L (1 - L), so L = 1 / (1 + z²).
    assert intervals.auc(1.0, 1, 1).low == pytest.approx(1 / (1 + Z**2))
    # At one half: (½ - L)² = z² L (1 - L), of which the roots are ½ ± ½ z / √(1 + z²).
    half = 0.5 * Z / sqrt(1 + Z**2)
    found = intervals.auc(0.5, 1, 1)
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))


counts = st.integers(1, 400)


@given(tenths=st.integers(0, 1000), positives=counts, negatives=counts)
def test_auc_interval_ends_solve_the_equation(tenths: int, positives: int, negatives: int) -> None:
    """At each end the estimate is z standard errors away, by Hanley and McNeil's own formula."""
    value = tenths / 1000
    found = intervals.auc(value, positives, negatives)
    assert 0 <= found.low <= value <= found.high <= 1
    others = (positives + negatives) / 2 - 1
    for end in (found.low, found.high):
        if end in (0, 1):
            assert value == end
            continue
        q1, q2 = end / (2 - end), 2 * end**2 / (1 + end)
        spread = end * (1 - end) + others * (q1 - end**2) + others * (q2 - end**2)
        error = sqrt(spread / (positives * negatives))
        # An end within a billionth of 0 or 1 is exact only to that much.
        assert abs(value - end) == pytest.approx(Z * error, rel=1e-4, abs=1e-7)


@given(tenths=st.integers(0, 1000), positives=counts, negatives=counts)
def test_auc_interval_is_symmetric(tenths: int, positives: int, negatives: int) -> None:
    one = intervals.auc(tenths / 1000, positives, negatives)
    other = intervals.auc(1 - tenths / 1000, negatives, positives)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-8)


def test_mean_combines_distances() -> None:
    # Downwards √(0.3² + 0.4²) / 2 = 0.25, upwards √(0.05² + 0.12²) / 2 = 0.065.
    found = intervals.mean(
        [Score(value=0.8, low=0.5, high=0.85), Score(value=0.6, low=0.2, high=0.72)]
    )
    assert (found.value, found.low, found.high) == pytest.approx((0.7, 0.45, 0.765))


def test_mean_stays_within_bounds() -> None:
    found = intervals.mean(
        [Score(value=0.1, low=0.0, high=1.0), Score(value=0.0, low=0.0, high=1.0)]
    )
    assert (found.value, found.low) == (0.05, 0.0)
    assert found.high == pytest.approx(0.05 + sqrt(0.81 + 1) / 2)


@given(hits=st.integers(0, 60), misses=st.integers(0, 60), factor=st.integers(2, 20))
def test_more_data_narrow_the_interval(hits: int, misses: int, factor: int) -> None:
    few = [intervals.proportion(hits, hits + misses), intervals.f1(hits, misses, 0)]
    many = [
        intervals.proportion(factor * hits, factor * (hits + misses)),
        intervals.f1(factor * hits, factor * misses, 0),
    ]
    if hits and misses:
        area = hits / (hits + misses)
        few.append(intervals.auc(area, hits, misses))
        many.append(intervals.auc(area, factor * hits, factor * misses))
    for less, more in zip(few, many, strict=True):
        assert 0 <= less.low <= less.value <= less.high <= 1
        if hits + misses:
            assert more.value == pytest.approx(less.value)
            assert more.high - more.low < less.high - less.low
