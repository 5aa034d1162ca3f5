"""The decision: from a network's outputs to probabilities, candidates and a verdict."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from ..multilabel.thresholds import Thresholds, sigmoid
from .arrays import Floats
from .errors import listed
from .novelty import MahalanobisDetector


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        probabilities: of each class, in the model's order; they add up to 1, unless the model
            names several defects: then each class has its own.
        candidates: the prediction set at the published coverage, the most likely class first;
            empty if the model was published without a decision.
        verdict: "class": accept the most likely class; "unsure": a person decides; "unknown": the
            surface is none that the model knows, so no class is reported.
        novelty: distance of the image from the training images, relative to the limit; above 1
            the surface is unknown. None if the model was published without a detector.
        required: the confidence above which an automatic answer costs no more than a review. It
            depends on the costs and, where mistakes differ in cost, on the probabilities of the
            other classes. None if the model was published without a decision, or names several
            defects.
        defects: the classes that are named, the most likely first; None if the model names one
            class of each image. Those of `candidates` that are not named are uncertain.
    """

    probabilities: dict[str, float]
    candidates: tuple[str, ...] = ()
    verdict: Literal["class", "unsure", "unknown"] = "class"
    novelty: float | None = None
    required: float | None = None
    defects: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=lambda label: self.probabilities[label])

    @property
    def confidence(self) -> float:
        """Probability of the most probable class."""
        return self.probabilities[self.label]

    @property
    def between(self) -> tuple[str, ...]:
        """The classes that a person should choose from: the candidates, but at least two."""
        ranked = sorted(self.probabilities, key=lambda label: -self.probabilities[label])
        return tuple(ranked[: max(2, len(self.candidates))])


@dataclass(frozen=True)
class Costs:
    """The cost of each outcome, all in the same unit; at most a billion.

    Attributes:
        missed: of a defect that is not named correctly.
        false_alarm: of a defect that is reported where there is none.
        review: of a person who reviews the image.
        no_defect: name of the class of images without a defect, if there is one.

    Raises:
        ValueError: a value is out of bounds; the message begins with its name.
    """

    missed: float
    false_alarm: float
    review: float
    no_defect: str | None

    def __post_init__(self) -> None:
        for name in ("missed", "false_alarm", "review"):
            _check_number(f"costs.{name}", getattr(self, name), 0, 1e9)
        if self.no_defect is not None and not isinstance(self.no_defect, str):
            raise ValueError("costs.no_defect is no name of a class")

    def matrix(self, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the cost of an answer, [true class, predicted class].

        Where both are defects, the true one is missed and the other one is a false alarm.
        """
        defect = np.array([label != self.no_defect for label in labels], np.float64)
        cost = self.missed * defect[:, None] + self.false_alarm * defect[None, :]
        np.fill_diagonal(cost, 0)
        return cost


@dataclass(frozen=True)
class Rules:
    """The parameters of a decision.

    Attributes:
        labels: class names, in the order of the network's outputs.
        temperature: divisor of the logits.
        coverage: share of prediction sets that contain the true class.
        least_probability: of a class in the prediction set.
        costs: of the outcomes.
        novelty_limit: above it, an image is unknown; None rejects nothing.
        thresholds: of a model that names several defects of an image, which has no prediction
            sets; None if it names one class.

    Raises:
        ValueError: a value is out of bounds; the message begins with its name.
    """

    labels: list[str]
    temperature: float
    coverage: float
    least_probability: float
    costs: Costs
    novelty_limit: float | None
    thresholds: Thresholds | None = None

    def __post_init__(self) -> None:
        named = isinstance(self.labels, list) and all(isinstance(e, str) for e in self.labels)
        if not named or not self.labels:
            raise ValueError("labels is no list of names")
        _check_number("temperature", self.temperature, 1e-3, 1e3)
        _check_number("coverage", self.coverage, 1e-9, 1 - 1e-9)
        _check_number("least_probability", self.least_probability, 0, 1)
        if self.novelty_limit is not None:
            _check_number("novelty_limit", self.novelty_limit, 1e-9, 1e30)
        if self.costs.no_defect is not None and self.costs.no_defect not in self.labels:
            raise ValueError("costs.no_defect is none of the labels")
        if self.thresholds is not None and len(self.thresholds.named) != len(self.labels):
            raise ValueError("thresholds are not those of the labels")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON; of a model that names one class, without thresholds."""
        fields = dataclasses.asdict(self)
        if self.thresholds is None:
            # Earlier programs read the rules of such a model, and must not overlook thresholds.
            del fields["thresholds"]
        return fields

    @classmethod
    def from_json(cls, fields: object) -> Self:
        """Return the rules that `to_json` described.

        Raises:
            ValueError: a field is missing, unknown or out of bounds; the message names it.
        """
        known = dict(_exactly(Rules, "the rules", fields, optional="thresholds"))
        known["costs"] = Costs(**_exactly(Costs, "costs", known["costs"]))
        if "thresholds" in known:
            known["thresholds"] = Thresholds.from_json(known["thresholds"])
        return cls(**known)


def _exactly(
    kind: type[Any], title: str, fields: object, optional: str | None = None
) -> dict[str, Any]:
    """Return JSON fields that are exactly those of a dataclass; one of them may be missing."""
    names = {field.name for field in dataclasses.fields(kind)}
    if optional and isinstance(fields, dict) and optional not in fields:
        names.discard(optional)
    if not isinstance(fields, dict):
        raise ValueError(f"{title} must be an object")
    for problem, odd in (("lacks", names - fields.keys()), ("has unknown", fields.keys() - names)):
        if odd:
            raise ValueError(f"{title} {problem} {listed(odd)}")
    return fields


def _check_number(name: str, value: object, least: float, most: float) -> None:
    # A bool is an int in Python, but not in JSON.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is not a number")
    if not least <= value <= most:
        raise ValueError(f"{name} must lie between {least:g} and {most:g}")


@dataclass(frozen=True)
class Decision:
    """The rules that turn outputs into a verdict, and the detector of unknown surfaces."""

    rules: Rules
    detector: MahalanobisDetector | None

    def apply(self, logits: Floats, described: Sequence[Floats]) -> list[Prediction]:
        """Return the prediction for each image.

        Args:
            logits: of the network, [image, class].
            described: statistics by stage; see `MahalanobisDetector.novelty`.
        """
        novelty = self.detector.novelty(described) if self.detector else None
        return self.conclude(logits, novelty)

    def conclude(self, logits: Floats, novelty: Floats | None) -> list[Prediction]:
        """Return the prediction for each image, given the novelty from `detector`, [image].

        Raises:
            ValueError: a logit is not a finite number.
        """
        rules = self.rules
        if not np.isfinite(logits).all():
            raise ValueError("The network's outputs are not finite numbers.")
        scaled = logits.astype(np.float64) / rules.temperature
        relative: list[float | None] = [None] * len(logits)
        if novelty is not None and rules.novelty_limit is not None:
            # A distance that overflows means an unknown surface.
            far = sys.float_info.max
            distances = novelty.astype(np.float64) / rules.novelty_limit
            relative = np.nan_to_num(distances, nan=far, posinf=far).tolist()
        if rules.thresholds is not None:
            rows = zip(sigmoid(scaled).tolist(), relative, strict=True)
            return [self._several(row, rules.thresholds, distance) for row, distance in rows]
        probabilities = softmax(scaled)
        return [
            self._prediction(row, required, distance)
            for row, required, distance in zip(
                probabilities.tolist(),
                self._required(probabilities).tolist(),
                relative,
                strict=True,
            )
        ]

    def _required(self, probabilities: Floats) -> Floats:
        """Return the confidence that is required to accept the most likely class, [image].

        The expected cost of an answer is the probability of a mistake times the mean cost of the
        possible mistakes; it must not exceed the cost of a review.
        """
        named = probabilities.argmax(axis=1)
        costs = self.rules.costs.matrix(self.rules.labels).T[named]
        others = probabilities.copy()
        others[np.arange(len(named)), named] = 0
        mean_cost = (others * costs).sum(axis=1) / np.maximum(
            others.sum(axis=1), sys.float_info.min
        )
        review = self.rules.costs.review
        # If no mistake is possible or costs more than a review, every answer is accepted.
        share = np.ones_like(mean_cost)
        np.divide(review, mean_cost, out=share, where=mean_cost > review)
        required: Floats = 1 - share
        return required

    def _prediction(self, row: list[float], required: float, novelty: float | None) -> Prediction:
        probabilities = dict(zip(self.rules.labels, row, strict=True))
        ranked = sorted(probabilities, key=lambda label: -probabilities[label])
        # The likeliest class is a candidate in any case: an empty set would help nobody.
        candidates = [
            label
            for rank, label in enumerate(ranked)
            if rank == 0 or probabilities[label] >= self.rules.least_probability
        ]
        verdict = _verdict(novelty, unsure=probabilities[ranked[0]] < required)
        return Prediction(probabilities, tuple(candidates), verdict, novelty, required)

    def _several(
        self, row: list[float], thresholds: Thresholds, novelty: float | None
    ) -> Prediction:
        """Return a prediction that names several classes; it is sure if none is uncertain."""
        labels = self.rules.labels
        named, possible = thresholds.classes(row)
        return Prediction(
            probabilities=dict(zip(labels, row, strict=True)),
            candidates=tuple(labels[label] for label in possible),
            verdict=_verdict(novelty, unsure=len(named) < len(possible)),
            novelty=novelty,
            defects=tuple(labels[label] for label in named),
        )


def _verdict(novelty: float | None, *, unsure: bool) -> Literal["class", "unsure", "unknown"]:
    if novelty is not None and novelty > 1:
        return "unknown"
    return "unsure" if unsure else "class"


def softmax(logits: Floats) -> npt.NDArray[np.float64]:
    """Return the probabilities of the classes, [image, class], in double precision."""
    wide = logits.astype(np.float64)
    powers: npt.NDArray[np.float64] = np.exp(wide - wide.max(axis=1, keepdims=True))
    total: npt.NDArray[np.float64] = powers.sum(axis=1, keepdims=True)
    return powers / total
