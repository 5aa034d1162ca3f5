"""Evaluate each fold of a cross-validation with rules that are fitted to the other folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model_card.schema.reliability import Reliability, SeveralDefects
from space.inference.core.arrays import Floats
from space.inference.core.decision import Decision, Prediction
from space.inference.decision_file import load_decision
from trainer.config.groups import DecisionConfig
from trainer.config.run_folder import PUBLISHED_DIR
from trainer.data.image_defects import shown_classes
from trainer.data.splits.dataset import Images
from trainer.decision.outputs import HeldOutOutputs
from trainer.decision.rules import fit_multi_label_rules, fit_rules
from trainer.evaluation.reliability import (
    TestOutcomes,
    apply_decision,
    join,
    measure,
    measure_ood_detection,
)
from trainer.evaluation.several_defects import measure_several


@dataclass(frozen=True)
class FoldOutcomes:
    """The decision of a fold, fitted to the other folds, and its predictions of the test images.

    Attributes:
        decision: with the new rules.
        logits: of the fold's test images, [image, class].
        predictions: of the same images.
        outcomes: of the same images.
        fitted_images: number of images that the rules are fitted to.
        fitted_groups: pieces of surface that they show.
    """

    decision: Decision
    logits: Floats
    predictions: list[Prediction]
    outcomes: TestOutcomes
    fitted_images: int
    fitted_groups: int


def fold_outcomes(
    fold_dirs: Sequence[Path], images: Sequence[Images], config: DecisionConfig
) -> list[FoldOutcomes]:
    """Return all folds, in order.

    Args:
        fold_dirs: the run folder of each fold.
        images: of each fold.
        config: of the decision.

    Raises:
        DataError: the outputs of a fold are damaged or missing.
    """
    labels, tests = images[0].labels, [fold.splits["test"] for fold in images]
    outputs = [HeldOutOutputs.load(fold_dir) for fold_dir in fold_dirs]
    published = [load_decision(fold_dir / PUBLISHED_DIR, labels) for fold_dir in fold_dirs]
    decisions = [decision for decision in published if decision is not None]
    relative = [_relative(decision, own) for decision, own in zip(decisions, outputs, strict=True)]
    folds = []
    for index, (decision, own) in enumerate(zip(decisions, outputs, strict=True)):
        others = [place for place in range(len(outputs)) if place != index]
        logits = np.concatenate([outputs[place].logits.astype(np.float64) for place in others])
        groups = [group for place in others for group in tests[place]["group"][:]]
        # The scores of the other folds are in units of their own limits.
        novelty = np.concatenate([relative[place] for place in others])
        novelty *= decision.rules.novelty_limit or 1.0
        if images[0].multi_label:
            shown = np.concatenate([shown_classes(tests[place]) for place in others])
            refitted = fit_multi_label_rules(
                labels, logits, shown, groups, decision.detector, novelty, config
            )
        else:
            truth = np.concatenate([outputs[place].truth for place in others])
            refitted = fit_rules(labels, logits, truth, decision.detector, novelty, config)
        predictions, outcomes = apply_decision(refitted, own)
        folds.append(
            FoldOutcomes(
                decision=refitted,
                logits=own.logits,
                predictions=predictions,
                outcomes=outcomes,
                fitted_images=len(groups),
                fitted_groups=len(set(groups)),
            )
        )
    return folds


def _relative(decision: Decision, outputs: HeldOutOutputs) -> np.ndarray:
    """Return the novelty scores of a fold's test images, in units of its own limit."""
    limit = decision.rules.novelty_limit
    if outputs.novelty is None or limit is None:
        return np.zeros(0)
    relative: np.ndarray = outputs.novelty.astype(np.float64) / limit
    return relative


class FoldMeasures(NamedTuple):
    """What is measured of a decision: one of both, by what the model names.

    Attributes:
        reliability: of a model that names one class of an image.
        several_defects: of a model that names several.
    """

    reliability: Reliability | None
    several_defects: SeveralDefects | None


def measure_folds(
    folds: Sequence[FoldOutcomes],
    images: Sequence[Images],
    config: DecisionConfig,
    *,
    network_saw_left_out: bool,
) -> FoldMeasures:
    """Measure the decisions of several folds together; the first fold's rules are reported.

    Args:
        folds: one or more.
        images: of the same folds.
        config: of the decision.
        network_saw_left_out: whether the classes left out were part of the network's training.
    """
    first, tests = folds[0], [fold.splits["test"] for fold in images]
    outcomes = join([fold.outcomes for fold in folds])
    if not images[0].multi_label:
        reliability = measure(
            first.decision,
            outcomes,
            config,
            fitted_on="other folds",
            fitted_images=first.fitted_images,
            reference_images=first.fitted_images,
            network_saw_left_out=network_saw_left_out,
        )
        return FoldMeasures(reliability, None)
    several = measure_several(
        first.decision,
        [prediction for fold in folds for prediction in fold.predictions],
        np.concatenate([fold.logits for fold in folds]),
        np.concatenate([shown_classes(test) for test in tests]),
        outcomes.truth,
        [group for test in tests for group in test["group"][:]],
        fitted_on="other folds",
        fitted_images=first.fitted_images,
        fitted_groups=first.fitted_groups,
        ood_detection=measure_ood_detection(
            first.decision, outcomes, config, first.fitted_images, network_saw_left_out
        ),
    )
    return FoldMeasures(None, several)
