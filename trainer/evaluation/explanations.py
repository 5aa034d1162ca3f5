"""Checks after training: heatmaps, their localization, robustness against corruptions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets

from model_card.figures.explanations import Explained
from model_card.schema.localization import Localization
from model_card.schema.robustness import Robustness
from space.inference.attribution import Explainer, colored, make_explainer
from space.inference.predictor import Prediction, Predictor
from trainer.config.groups import ChecksConfig
from trainer.data.sources import open_image
from trainer.evaluation.localization import measure_localization
from trainer.evaluation.robustness import measure_robustness
from trainer.evaluation.sample_rows import in_turn, worst_mistakes

logger = logging.getLogger(__name__)

MOST_EXPLAINED = 12


@dataclass(frozen=True)
class PostTrainingChecks:
    """Results of the checks; None or empty for a check that is disabled or not possible."""

    explained: list[Explained]
    localization: Localization | None
    robustness: Robustness | None


def run_checks(
    predictor: Predictor,
    test: datasets.Dataset,
    predictions: Sequence[Prediction],
    settings: ChecksConfig,
    seed: int,
    boxes: Mapping[str, Path],
) -> PostTrainingChecks:
    """Explain some test images, score heatmaps if there are boxes, test on corrupted images.

    Args:
        predictor: the model.
        test: images with the columns of `trainer.data.sources`.
        predictions: of `test`.
        settings: which checks to run.
        seed: of the sample and of the corruptions.
        boxes: folders of boxes, for `trainer.data.voc_boxes.read_boxes`.

    Raises:
        DataError: the boxes can't be used.
    """
    explainer = make_explainer(predictor)
    if explainer is None:
        logger.warning("The stages of this network can't be observed, so there are no heatmaps.")
    most = settings.robustness_images
    return PostTrainingChecks(
        explained=_explain_some(explainer, test, predictions) if explainer else [],
        localization=measure_localization(explainer, test, boxes) if explainer and boxes else None,
        robustness=measure_robustness(predictor, test, most, seed) if most else None,
    )


def _explain_some(
    explainer: Explainer, test: datasets.Dataset, predictions: Sequence[Prediction]
) -> list[Explained]:
    """Explain predicted classes: of the worst mistakes, a third, then of each class in turn."""
    labels = test.features["label"].names
    truth = test["label"][:]
    most = min(MOST_EXPLAINED, 2 * len(set(truth)))
    worst = worst_mistakes(truth, labels, predictions, most // 3)
    others = [row for row in in_turn(truth, range(len(truth))) if row not in worst]
    explained = []
    for row in [*worst, *others][:most]:
        image, named = open_image(test[row]), predictions[row].label
        heat = colored(explainer.explain(image, labels.index(named)))
        explained.append(Explained(explainer.seen(image), heat, labels[truth[row]], named))
    return explained
