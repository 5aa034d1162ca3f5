"""The forecast and its words, against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.data_needs import forecast as forecast_module
from trainer.data_needs.figure import learning_curve
from trainer.data_needs.forecast import (
    balanced_errors,
    extrapolate,
    joined_mistakes,
    most_useful,
    words,
)
from trainer.data_needs.measurement import Curve, Features, Plan
from trainer.data_needs.result import (
    ClassCurve,
    Forecast,
    Interval,
    Law,
    LearningCurve,
    MeasuredError,
)


def interval(value: float, half: float) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)


def forecast(now: int, then: int, change: float, half: float) -> Forecast:
    return Forecast(
        images_now=now,
        images_then=then,
        error_now=interval(0.05, 0.02),
        error_then=interval(0.05 + change, 0.015),
        change=interval(change, half),
    )


def result_of(first: list[str]) -> LearningCurve:
    law, points = Law(floor=0.01, scale=0.5, exponent=0.6), []
    for images, error, size in ((10, 0.125, 3.4), (20, 0.09, 2.2), (40, 0.05, 1.3)):
        points.append(MeasuredError(images=images, error=interval(error, 0.03), set_size=size))
    own = [
        ClassCurve(name=name, points=points, law=law, forecast=forecast(40, 120, change, half))
        for name, change, half in (("Patches", -0.002, 0.004), ("Rolled", -0.011, 0.006))
    ]
    return LearningCurve(
        images=240,
        classes=6,
        points=points,
        law=law,
        forecast=forecast(40, 160, -0.02, 0.01),
        by_class=own,
        photograph_first=first,
    )


def test_words_state_the_numbers() -> None:
    assert words(result_of(["Rolled"])) == [
        "Error with 10 images of each class: 12.5 % (9.5–15.5); with 40: 5.0 % (2.0–8.0).",
        "From 40 to 160 images of each class: −2.0 ± 1.0 points, to 3.0 % (1.5–4.5).",
        "Prediction sets that should hold the true class in 95 % of cases name 3.4 of 6 classes "
        "with 10 images of each, 1.3 with 40.",
        "From 40 to 120 images of Rolled: −1.1 ± 0.6 points.",
        "From 40 to 120 images of Patches: −0.2 ± 0.4 points.",
        "Photograph Rolled first.",
    ]


def test_words_do_not_choose_where_nothing_is_distinguishable() -> None:
    assert words(result_of(["Rolled", "Patches", "Pitted"]))[-1] == (
        "Photograph Rolled first; its gain is not distinguishable from that of Patches and Pitted."
    )
    assert words(result_of([]))[-1] == (
        "No single class promises a gain that is distinguishable from none."
    )


def test_the_most_useful_class_and_its_rivals() -> None:
    rng = np.random.default_rng(0)
    means, spread = np.array([-0.001, -0.03, -0.028, -0.01]), 0.002
    changes = means[:, None] + spread * rng.standard_normal((4, 1000))
    found = [(forecast(40, 120, mean, 2 * spread), changes[i]) for i, mean in enumerate(means)]
    assert most_useful(changes, found) == [1, 2]
    assert most_useful(changes[[0]], found[:1]) == []
    # A gain that is surely smaller, though by less than what is printed, is no reason to choose.
    close = np.array([[-0.03], [-0.0298]]) * np.ones((2, 1000))
    almost = [(forecast(40, 120, each[0], 0.001), each) for each in close]
    assert most_useful(close, almost) == [0, 1]
    # Noise that both share cancels out.
    shared = means[:, None] + spread * rng.standard_normal(1000)
    assert most_useful(shared, found) == [1]


def test_an_error_counts_by_its_variance_which_is_never_below_that_of_an_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[list[float]] = []
    monkeypatch.setattr(
        forecast_module, "fit_power_law", lambda _, errors, weights: seen.append(weights.tolist())
    )
    samples = np.array([[0.1, 0.0], [0.3, 0.0]])
    forecast_module._series([10, 20], np.array([0.2, 0.0]), samples, images=10)
    # Variances of 0.01 and 0, and 1/100 more.
    assert seen[0] == pytest.approx([50, 100])


def test_errors_count_classes_alike() -> None:
    labels = np.array([0, 0, 0, 0, 1])
    mistakes = np.array([[[1, 0, 0, 0, 1]], [[1, 1, 0, 0, 0]]], dtype=float)
    ones = np.ones((1, 5)), np.array([[0.5, 0.5]])
    errors, samples = balanced_errors(mistakes, labels, ones)
    # Class 0: 1/4 and 2/4; class 1: 1 and 0.
    assert errors == pytest.approx([(0.375 + 0.5) / 2])
    assert samples == pytest.approx(errors[None])
    # The first repetition only, the first image three times, and no image of class 1.
    weighted = np.array([[3.0, 1, 1, 1, 0]]), np.array([[1.0, 0]])
    assert balanced_errors(mistakes, labels, weighted)[1] == pytest.approx(3 / 6)


def curves_of_law(images: int) -> tuple[Features, Plan, list[list[Curve]]]:
    """Return curves whose errors follow 0.5 × n^-0.5 in class 0; class 1 has no mistake."""
    counts = [4, 16, 64]
    labels = np.repeat([0, 1], images // 2)
    rows = np.arange(images)
    folds = [rows[rows % 2 == 0], rows[rows % 2 == 1]]
    rng = np.random.default_rng(3)
    rank = np.where(labels == 0, rng.permutation(images) / images, 1.0)

    def mistakes(test: np.ndarray) -> list[list[int]]:
        return [(rank[test] < 0.5 * n**-0.5).astype(int).tolist() for n in counts]

    curves = [
        Curve(
            digest="",
            mistakes=mistakes(test),
            class_mistakes=[mistakes(test), [[0] * len(test)] * 3],
            set_sizes=[1.9, 1.5, 1.1],
        )
        for test in folds
    ]
    features = Features(np.zeros((images, 1)), labels, rows, ["rare $x$", "common"])
    return features, Plan(counts, [counts, counts], [folds], 0, ""), [curves]


def test_folds_join_to_one_row_per_image() -> None:
    _, plan, curves = curves_of_law(400)
    joined = joined_mistakes(curves, plan.folds, 400)
    assert joined.shape == (1, 9, 400)
    assert joined[0, :3].sum(axis=1).tolist() == joined[0, 3:6].sum(axis=1).tolist()
    assert joined[0, 6:].sum() == 0


@pytest.mark.slow
def test_the_forecast_follows_the_law_of_the_curves() -> None:
    features, plan, curves = curves_of_law(4000)
    result = extrapolate(features, plan, curves, more=2000)
    assert [point.images for point in result.points] == [4, 16, 64]
    assert [point.set_size for point in result.points] == [1.9, 1.5, 1.1]
    # Half of the mean of 0.5 × n^-0.5 and 0, for 4 and 16 images.
    assert result.points[0].error.value == pytest.approx(0.125, abs=0.02)
    assert result.points[1].error.value == pytest.approx(0.0625, abs=0.01)
    ahead = result.forecast
    assert (ahead.images_now, ahead.images_then) == (2000, 4000)
    assert ahead.change.low <= 0.25 * (4000**-0.5 - 2000**-0.5) <= ahead.change.high
    first, second = result.by_class
    assert first.forecast.change.value < second.forecast.change.value == 0
    assert first.points[0].error.low < first.points[0].error.value < first.points[0].error.high
    figure = learning_curve(result)
    labels = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert labels == ["rare $x$\n2000 → 4000", "common\n2000 → 4000"]
