"""A linear head on features of a frozen backbone, fitted to convergence in a fraction of a second.

It is the layer that `--tune head` trains. Its regularization is chosen by cross-validation within
the given images, in whole pieces of surface.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.data.splits.pieces import Ints, Pieces
from trainer.data_needs.power_law import Array
from trainer.decision.conformal import least_probability

# Inverse strength of the regularization, on standardized features.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
# Without cross-validation.
DEFAULT_STRENGTH = 1e-2
INNER_FOLDS = 3
COVERAGE = 0.95
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Choice:
    """What cross-validation within the training images found.

    Attributes:
        strength: the regularization with the lowest cross entropy.
        threshold: probability above which a class belongs to the prediction set; 0, every class,
            if the images are too few to promise anything.
    """

    strength: float
    threshold: float


def choose(features: Array, labels: Ints, groups: Ints, classes: int, seed: int) -> Choice:
    """Choose the regularization and the threshold of prediction sets by cross-validation.

    Args:
        features: [image, feature].
        labels: class of each image.
        groups: piece of surface of each image.
        classes: number of classes.
        seed: of the inner folds.
    """
    folds = [*_inner_folds(labels, groups, classes, seed)]
    if any(len(np.unique(labels[train])) < classes for train, _ in folds):
        return Choice(DEFAULT_STRENGTH, 0.0)
    found = []
    for strength in STRENGTHS:
        probabilities = np.empty((len(labels), classes))
        for train, held_out in folds:
            head = fit_head(features[train], labels[train], strength)
            probabilities[held_out] = head.predict_proba(features[held_out])
        own = probabilities[np.arange(len(labels)), labels]
        cross_entropy = -np.log(np.clip(own, 1e-12, None)).mean()
        found.append((cross_entropy, strength, probabilities))
    _, strength, probabilities = min(found, key=lambda each: each[0])
    return Choice(strength, least_probability(probabilities, labels, COVERAGE))


def fit_head(features: Array, labels: Ints, strength: float) -> Pipeline:
    """Return a logistic regression on standardized features."""
    head = LogisticRegression(C=strength, tol=_TOLERANCE, max_iter=1000)
    return make_pipeline(StandardScaler(), head).fit(features, labels)


def _inner_folds(
    labels: Ints, groups: Ints, classes: int, seed: int
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the training and held-out rows of each inner fold; no piece is on both sides."""
    pieces = Pieces(labels.tolist(), groups.tolist(), classes)
    folds = pieces.dealt(INNER_FOLDS, seed)[pieces.of_image]
    for fold in range(INNER_FOLDS):
        yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
