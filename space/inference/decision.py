"""The decision: from a network's outputs to probabilities, candidates and a verdict."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors.torch import save_file

from .model_folder import ModelError, ModelFolder, shortened
from .novelty import MahalanobisDetector

RULES_FILE = "decision.json"
DETECTOR_FILE = "decision.safetensors"
ADVICE = f"Publish the model again, or remove both {RULES_FILE} and {DETECTOR_FILE}."


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        probabilities: of each class, in the model's order; they add up to 1.
        candidates: the prediction set at the published coverage, the most likely class first;
            empty if the model was published without a decision.
        verdict: "class": accept the most likely class; "unsure": a person decides; "unknown": the
            surface is none that the model knows, so no class is reported.
        novelty: distance of the image from the training images, relative to the limit; above 1
            the surface is unknown. None if the model was published without a detector.
        required: the confidence above which an automatic answer costs no more than a review. It
            depends on the costs and, where mistakes differ in cost, on the probabilities of the
            other classes. None if the model was published without a decision.
    """

    probabilities: dict[str, float]
    candidates: tuple[str, ...] = ()
    verdict: Literal["class", "unsure", "unknown"] = "class"
    novelty: float | None = None
    required: float | None = None

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


class _Strict(BaseModel):
    """Base of the schemas of `decision.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class Costs(_Strict):
    """The cost of each outcome, all in the same unit."""

    missed: float = Field(ge=0, le=1e9, description="a defect that is not named correctly")
    false_alarm: float = Field(ge=0, le=1e9, description="a defect is reported that is not there")
    review: float = Field(ge=0, le=1e9, description="a person reviews the image")
    no_defect: str | None = Field(description="the class of images without a defect")

    def matrix(self, labels: Sequence[str]) -> torch.Tensor:
        """Return the cost of an answer, [true class, predicted class].

        Where both are defects, the true one is missed and the other one is a false alarm.
        """
        defect = torch.tensor([label != self.no_defect for label in labels], dtype=torch.float64)
        cost = self.missed * defect[:, None] + self.false_alarm * defect[None, :]
        return cost.fill_diagonal_(0)


class Rules(_Strict):
    """The parameters of a decision."""

    labels: list[str]
    temperature: float = Field(ge=1e-3, le=1e3, description="divisor of the logits")
    coverage: float = Field(gt=0, lt=1, description="share of sets that contain the true class")
    least_probability: float = Field(ge=0, le=1, description="of a class in the prediction set")
    costs: Costs
    novelty_limit: float | None = Field(
        ge=1e-9, le=1e30, description="above it, an image is unknown"
    )

    @model_validator(mode="after")
    def _no_defect_is_a_class(self) -> Self:
        if self.costs.no_defect is not None and self.costs.no_defect not in self.labels:
            raise ValueError("costs.no_defect is none of the labels")
        return self


@dataclass(frozen=True)
class Decision:
    """The rules that turn outputs into a verdict, and the detector of unknown surfaces."""

    rules: Rules
    detector: MahalanobisDetector | None

    def apply(self, logits: torch.Tensor, described: Sequence[torch.Tensor]) -> list[Prediction]:
        """Return the prediction for each image.

        Args:
            logits: of the network, [image, class].
            described: statistics by stage; see `MahalanobisDetector.novelty`.
        """
        novelty = self.detector.novelty(described) if self.detector else None
        return self.conclude(logits, novelty)

    def conclude(self, logits: torch.Tensor, novelty: torch.Tensor | None) -> list[Prediction]:
        """Return the prediction for each image, given the novelty from `detector`, [image].

        Raises:
            ValueError: a logit is not a finite number.
        """
        rules = self.rules
        if not torch.isfinite(logits).all():
            raise ValueError("The network's outputs are not finite numbers.")
        probabilities = (logits.double() / rules.temperature).softmax(dim=1)
        relative: list[float | None] = [None] * len(logits)
        if novelty is not None and rules.novelty_limit is not None:
            # A distance that overflows means an unknown surface.
            far = sys.float_info.max
            relative = (novelty.double() / rules.novelty_limit).nan_to_num(far, far).tolist()
        return [
            self._prediction(row, required, distance)
            for row, required, distance in zip(
                probabilities.tolist(),
                self._required(probabilities).tolist(),
                relative,
                strict=True,
            )
        ]

    def _required(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Return the confidence that is required to accept the most likely class, [image].

        The expected cost of an answer is the probability of a mistake times the mean cost of the
        possible mistakes; it must not exceed the cost of a review.
        """
        named = probabilities.argmax(dim=1, keepdim=True)
        costs = self.rules.costs.matrix(self.rules.labels).T[named[:, 0]]
        others = probabilities.scatter(1, named, 0)
        mean_cost = (others * costs).sum(dim=1) / others.sum(dim=1).clamp_min(sys.float_info.min)
        review = self.rules.costs.review
        # If no mistake is possible or costs more than a review, every answer is accepted.
        return torch.where(mean_cost > review, 1 - review / mean_cost.clamp_min(1e-300), 0.0)

    def _prediction(self, row: list[float], required: float, novelty: float | None) -> Prediction:
        probabilities = dict(zip(self.rules.labels, row, strict=True))
        ranked = sorted(probabilities, key=lambda label: -probabilities[label])
        # The likeliest class is a candidate in any case: an empty set would help nobody.
        candidates = [
            label
            for rank, label in enumerate(ranked)
            if rank == 0 or probabilities[label] >= self.rules.least_probability
        ]
        unsure = probabilities[ranked[0]] < required
        verdict: Literal["class", "unsure", "unknown"] = "unsure" if unsure else "class"
        if novelty is not None and novelty > 1:
            verdict = "unknown"
        return Prediction(probabilities, tuple(candidates), verdict, novelty, required)

    def write(self, folder: Path) -> None:
        """Write the decision into a published folder."""
        text = self.rules.model_dump_json(indent=2)
        (folder / RULES_FILE).write_text(text + "\n", encoding="utf-8")
        if self.detector is not None:
            tensors = {n: t.float().contiguous() for n, t in self.detector.tensors().items()}
            save_file(tensors, folder / DETECTOR_FILE)

    @classmethod
    def read(cls, folder: Path, labels: list[str]) -> Decision | None:
        """Read what `write` wrote; None if the folder was published without a decision.

        Raises:
            ModelError: it is damaged or belongs to another model.
        """
        files = ModelFolder(folder)
        if not files.has(RULES_FILE):
            if files.has(DETECTOR_FILE):
                raise ModelError(f"{folder} has {DETECTOR_FILE} but no {RULES_FILE}. {ADVICE}")
            return None
        rules = files.read_json(RULES_FILE, Rules)
        if rules.labels != labels:
            raise ModelError(
                f"{folder / RULES_FILE} belongs to a model with other classes: "
                f"{shortened(rules.labels, 200)}. {ADVICE}"
            )
        if rules.novelty_limit is None:
            if files.has(DETECTOR_FILE):
                raise ModelError(
                    f"{folder / RULES_FILE} has no novelty_limit, but there is "
                    f"{DETECTOR_FILE}. {ADVICE}"
                )
            return cls(rules, None)
        tensors = files.read_tensors(DETECTOR_FILE)
        try:
            return cls(rules, MahalanobisDetector.from_tensors(tensors))
        except ValueError as error:
            raise ModelError(
                f"{folder / DETECTOR_FILE} can't be used: {shortened(error)}. {ADVICE}"
            ) from error
