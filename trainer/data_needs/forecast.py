"""Extrapolate measured curves by a power law, with intervals, and put the result into words.

Intervals are percentiles of a bootstrap that draws pieces of surface and repetitions (Owen, The
pigeonhole bootstrap, Annals of Applied Statistics 1 (2007) 386). Each sample fits its own laws: a
difference between two numbers of images keeps what both share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_card.formatting import enumeration
from trainer.data.splits.pieces import Ints
from trainer.data_needs.measurement import Curve, Features, Plan
from trainer.data_needs.power_law import Array, PowerLaw, fit_power_law
from trainer.data_needs.result import (
    ClassCurve,
    Forecast,
    Interval,
    Law,
    LearningCurve,
    MeasuredError,
)

SAMPLES = 1000
_PERCENTILES = (2.5, 97.5)
# A smaller change is printed as 0.0 points.
LEAST_CHANGE = 0.0005


@dataclass(frozen=True)
class _Series:
    """Errors over numbers of images, and their law.

    Attributes:
        counts: numbers of images.
        errors: measured, [count].
        samples: of the bootstrap, [sample, count].
        law: of the measured errors.
        laws: of the samples.
    """

    counts: list[int]
    errors: Array
    samples: Array
    law: PowerLaw
    laws: PowerLaw

    def forecast(self, now: int, then: int) -> tuple[Forecast, Array]:
        """Return the forecast from one number of images to another, and the sampled changes."""
        changes = self.laws.error(then) - self.laws.error(now)
        return Forecast(
            images_now=now,
            images_then=then,
            error_now=_interval(self.law.error(now), self.laws.error(now)),
            error_then=_interval(self.law.error(then), self.laws.error(then)),
            change=_interval(self.law.error(then) - self.law.error(now), changes),
        ), changes


def extrapolate(
    features: Features, plan: Plan, curves: Sequence[Sequence[Curve]], more: int
) -> LearningCurve:
    """Return the errors of all curves with intervals, the laws, and what more images would change.

    An error is the mean of the error rates of the classes, so that a rare class counts as much as
    a frequent one.

    Args:
        features: of the images.
        plan: of the measurement.
        curves: measured, [repetition][fold].
        more: further images of a class.
    """
    names, present = features.names, np.bincount(features.labels)
    rng = np.random.default_rng(plan.seed)
    samples = _weights(features.groups, len(plan.folds), rng)
    joined = joined_mistakes(curves, plan.folds, len(features.labels))
    errors, sampled = balanced_errors(joined, features.labels, samples)
    series = []
    first = 0
    for counts in [plan.counts, *plan.class_counts]:
        own = slice(first, first + len(counts))
        series.append(_series(counts, errors[own], sampled[:, own], len(features.labels)))
        first += len(counts)
    everything, classes = series[0], series[1:]
    now = int(present.min())
    forecast, _ = everything.forecast(now, now + more)
    forecasts = [
        each.forecast(int(images), int(images) + more)
        for each, images in zip(classes, present, strict=True)
    ]
    sizes = np.mean([[curve.set_sizes for curve in repeat] for repeat in curves], axis=(0, 1))
    return LearningCurve(
        images=len(features.labels),
        classes=len(names),
        points=_points(everything, sizes.tolist()),
        law=_law(everything.law),
        forecast=forecast,
        by_class=[
            ClassCurve(
                name=name, points=_points(each), law=_law(each.law), forecast=forecast_of_class
            )
            for name, each, (forecast_of_class, _) in zip(names, classes, forecasts, strict=True)
        ],
        photograph_first=[
            names[label] for label in most_useful(np.array([c for _, c in forecasts]), forecasts)
        ],
    )


def most_useful(changes: Array, forecasts: Sequence[tuple[Forecast, Array]]) -> list[int]:
    """Return the class whose images lower the error most, and those not distinguishable from it.

    Args:
        changes: of the bootstrap, [class, sample].
        forecasts: of each class.

    Returns:
        the largest gain first; empty if not even that one is distinguishable from none.
    """
    order = np.argsort([forecast.change.value for forecast, _ in forecasts], kind="stable")
    best = int(order[0])
    if forecasts[best][0].change.high > -LEAST_CHANGE:
        return []
    rivals = []
    for label in order[1:].tolist():
        low, _ = np.percentile(changes[label] - changes[best], _PERCENTILES)
        if low <= LEAST_CHANGE:
            rivals.append(label)
    return [best, *rivals]


def words(result: LearningCurve) -> list[str]:
    """Return what the curves say, one sentence a line."""
    first, last, forecast = result.points[0], result.points[-1], result.forecast
    lines = [
        f"Error with {first.images} images of each class: {_percent(first.error)}; with "
        f"{last.images}: {_percent(last.error)}.",
        f"From {forecast.images_now} to {forecast.images_then} images of each class: "
        f"{_change(forecast.change)}, to {_percent(forecast.error_then)}.",
        f"Prediction sets that should hold the true class in 95 % of cases name "
        f"{first.set_size or 0:.1f} of {result.classes} classes with {first.images} images of "
        f"each, {last.set_size or 0:.1f} with {last.images}.",
    ]
    for each in sorted(result.by_class, key=lambda each: each.forecast.change.value):
        ahead = each.forecast
        lines.append(
            f"From {ahead.images_now} to {ahead.images_then} images of {each.name}: "
            f"{_change(ahead.change)}."
        )
    return [*lines, _advice(result.photograph_first)]


def _advice(names: list[str]) -> str:
    if not names:
        return "No single class promises a gain that is distinguishable from none."
    if len(names) == 1:
        return f"Photograph {names[0]} first."
    return (
        f"Photograph {names[0]} first; its gain is not distinguishable from that of "
        f"{enumeration(names[1:])}."
    )


def _change(change: Interval) -> str:
    """Write a change of the error with half of its interval: “−1.1 ± 0.6 points”."""
    sign = "−" if change.value <= 0 else "+"
    half = (change.high - change.low) / 2
    return f"{sign}{100 * abs(change.value):.1f} ± {100 * half:.1f} points"


def _percent(error: Interval) -> str:
    return f"{100 * error.value:.1f} % ({100 * error.low:.1f}–{100 * error.high:.1f})"


def _weights(groups: Ints, repeats: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the weight of each image, [sample, image], and each repetition, [sample, repeat]."""
    pieces, of_image = np.unique(groups, return_inverse=True)
    drawn = rng.multinomial(len(pieces), np.full(len(pieces), 1 / len(pieces)), SAMPLES)
    runs = rng.multinomial(repeats, np.full(repeats, 1 / repeats), SAMPLES) / repeats
    return drawn[:, of_image].astype(np.float64), runs


def joined_mistakes(
    curves: Sequence[Sequence[Curve]], folds: Sequence[Sequence[Ints]], images: int
) -> Array:
    """Return the mistakes of all curves joined over the folds, [repetition, series, image].

    The series are the numbers of images of every class, then those of each class.
    """
    first = curves[0][0]
    series = len(first.mistakes) + sum(map(len, first.class_mistakes))
    joined = np.zeros((len(curves), series, images))
    for repeat, (results, tests) in enumerate(zip(curves, folds, strict=True)):
        for curve, rows in zip(results, tests, strict=True):
            own = [*curve.mistakes, *(each for found in curve.class_mistakes for each in found)]
            joined[repeat][:, rows] = own
    return joined


def balanced_errors(
    mistakes: Array, labels: Ints, samples: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Return the mean error rate of the classes, [series], and of each sample, [sample, series].

    Args:
        mistakes: [repetition, series, image].
        labels: class of each image.
        samples: weights of images, [sample, image], and repetitions, [sample, repetition].
    """
    by_image, by_run = samples
    runs, series, _ = mistakes.shape
    flat = mistakes.reshape(runs * series, -1)
    errors = np.zeros(series)
    total, counted = np.zeros((len(by_image), series)), np.zeros((len(by_image), 1))
    for label in np.unique(labels):
        own = labels == label
        errors += mistakes[:, :, own].mean(axis=(0, 2))
        weights = by_image[:, own].sum(axis=1, keepdims=True)
        rates = (by_image[:, own] @ flat[:, own].T) / np.maximum(weights, 1)
        total += np.einsum("br,brs->bs", by_run, rates.reshape(-1, runs, series))
        # A sample may have no piece of a rare class.
        counted += weights > 0
    return errors / len(np.unique(labels)), total / counted


def _series(counts: list[int], errors: Array, samples: Array, images: int) -> _Series:
    # An error without a mistake has no variance, but is not known exactly either.
    weights = 1 / (samples.var(axis=0) + 1 / images**2)
    law, laws = (fit_power_law(counts, each, weights) for each in (errors, samples))
    return _Series(counts, errors, samples, law, laws)


def _interval(value: Array, samples: Array) -> Interval:
    low, high = np.percentile(samples, _PERCENTILES)
    # The bootstrap of a biased fit may miss its own estimate.
    return Interval(
        value=float(value), low=min(float(value), float(low)), high=max(float(value), float(high))
    )


def _points(series: _Series, set_sizes: Sequence[float] | None = None) -> list[MeasuredError]:
    return [
        MeasuredError(
            images=images,
            error=_interval(series.errors[index], series.samples[:, index]),
            set_size=None if set_sizes is None else set_sizes[index],
        )
        for index, images in enumerate(series.counts)
    ]


def _law(law: PowerLaw) -> Law:
    return Law(floor=float(law.floor), scale=float(law.scale), exponent=float(law.exponent))
