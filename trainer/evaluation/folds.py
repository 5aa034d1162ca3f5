"""Evaluate each fold of a cross-validation with rules that are fitted to the other folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_card.schema.reliability import Reliability
from space.inference.core.decision import Decision, Prediction
from space.inference.decision_file import load_decision
from trainer.config.groups import DecisionConfig
from trainer.config.run_folder import PUBLISHED_DIR
from trainer.decision.outputs import HeldOutOutputs
from trainer.decision.rules import fit_rules
from trainer.evaluation.reliability import TestOutcomes, apply_decision, join, measure


@dataclass(frozen=True)
class FoldOutcomes:
    """The decision of a fold, fitted to the other folds, and its predictions of the test images.

    Attributes:
        decision: with the new rules.
        predictions: of the fold's test images.
        outcomes: of the same images.
        fitted_images: number of images that the rules are fitted to.
    """

    decision: Decision
    predictions: list[Prediction]
    outcomes: TestOutcomes
    fitted_images: int


def fold_outcomes(
    fold_dirs: Sequence[Path], labels: list[str], config: DecisionConfig
) -> list[FoldOutcomes]:
    """Return all folds, in order.

    Raises:
        DataError: the outputs of a fold are damaged or missing.
    """
    outputs = [HeldOutOutputs.load(fold_dir) for fold_dir in fold_dirs]
    published = [load_decision(fold_dir / PUBLISHED_DIR, labels) for fold_dir in fold_dirs]
    decisions = [decision for decision in published if decision is not None]
    relative = [_relative(decision, own) for decision, own in zip(decisions, outputs, strict=True)]
    folds = []
    for index, (decision, own) in enumerate(zip(decisions, outputs, strict=True)):
        others = [other for place, other in enumerate(outputs) if place != index]
        novelty = [other for place, other in enumerate(relative) if place != index]
        limit = decision.rules.novelty_limit or 1.0
        refitted = fit_rules(
            labels,
            np.concatenate([other.logits.astype(np.float64) for other in others]),
            np.concatenate([other.truth for other in others]),
            decision.detector,
            # The scores of the other folds are in units of their own limits.
            np.concatenate(novelty) * limit,
            config,
        )
        predictions, outcomes = apply_decision(refitted, own)
        fitted_images = sum(len(other.truth) for other in others)
        folds.append(FoldOutcomes(refitted, predictions, outcomes, fitted_images))
    return folds


def _relative(decision: Decision, outputs: HeldOutOutputs) -> np.ndarray:
    """Return the novelty scores of a fold's test images, in units of its own limit."""
    limit = decision.rules.novelty_limit
    if outputs.novelty is None or limit is None:
        return np.zeros(0)
    relative: np.ndarray = outputs.novelty.astype(np.float64) / limit
    return relative


def measure_folds(
    folds: Sequence[FoldOutcomes], config: DecisionConfig, *, network_saw_left_out: bool
) -> Reliability:
    """Measure the reliability of several folds together; the first fold's rules are reported.

    Args:
        folds: one or more.
        config: of the decision.
        network_saw_left_out: whether the classes left out were part of the network's training.
    """
    return measure(
        folds[0].decision,
        join([fold.outcomes for fold in folds]),
        config,
        fitted_on="other folds",
        fitted_images=folds[0].fitted_images,
        reference_images=folds[0].fitted_images,
        network_saw_left_out=network_saw_left_out,
    )
