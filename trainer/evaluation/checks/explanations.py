"""Heatmaps of some test images, for a figure of the card."""

from __future__ import annotations

from collections.abc import Sequence

import datasets

from model_card.figures.explanations import Explained
from space.inference.attribution import Explainer, colored
from space.inference.predictor import Prediction
from trainer.data.images.decoding import open_image
from trainer.evaluation.sample_rows import in_turn, worst_mistakes

MOST_EXPLAINED = 12


def explain_some(
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
