"""The checks after training, and the heatmaps that a figure of the card shows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from model_card.figures.explanations import Explained
from model_card.schema.checks import Checks
from model_card.schema.report import Figure
from space.inference.attribution import make_explainer
from space.inference.predictor import Prediction, Predictor
from trainer.config.groups import ChecksConfig
from trainer.data.voc_boxes import BoxFolders
from trainer.evaluation.checks import boxed_mistakes, localization, robustness
from trainer.evaluation.checks.check import Check, CheckedModel
from trainer.evaluation.checks.explanations import explain_some

logger = logging.getLogger(__name__)

# By the fields of `Checks`.
CHECKS: dict[str, Check[Any]] = {
    "robustness": robustness.CHECK,
    "localization": localization.CHECK,
    "boxed_mistakes": boxed_mistakes.CHECK,
}


@dataclass(frozen=True)
class PostTrainingChecks:
    """The facts of all checks, and the explained images; none if stages can't be observed."""

    facts: Checks
    explained: list[Explained]


def run_checks(
    predictor: Predictor,
    test: datasets.Dataset,
    predictions: Sequence[Prediction],
    settings: ChecksConfig,
    seed: int,
    boxes: BoxFolders,
) -> PostTrainingChecks:
    """Explain some test images, and run every check.

    Args:
        predictor: the model.
        test: images with the columns of `trainer.data.sources`.
        predictions: of `test`.
        settings: which checks to run.
        seed: of samples and corruptions.
        boxes: places of the boxes; none if there are none.

    Raises:
        DataError: the boxes can't be used.
    """
    explainer = make_explainer(predictor)
    if explainer is None:
        logger.warning("The stages of this network can't be observed, so there are no heatmaps.")
    explained = explain_some(explainer, test, predictions) if explainer else []
    model = CheckedModel(predictor, explainer, test, predictions, boxes, settings, seed)
    facts = Checks(**{name: check.measure(model) for name, check in CHECKS.items()})
    return PostTrainingChecks(facts, explained)


def join_checks(folds: Sequence[Checks]) -> Checks:
    """Pool the facts of the folds of a cross-validation."""
    joined = {}
    for name, check in CHECKS.items():
        known = [facts for fold in folds if (facts := getattr(fold, name)) is not None]
        joined[name] = check.join(known) if known else None
    return Checks(**joined)


def draw_checks(facts: Checks, folder: Path) -> list[Figure]:
    """Draw the checks that have a figure into a published folder."""
    return [
        check.draw(known, folder)
        for name, check in CHECKS.items()
        if check.draw and (known := getattr(facts, name)) is not None
    ]
