"""Fit the novelty detector to reference images, and score each of them by the others.

The detector is described in `space.inference.core.novelty`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.covariance import ledoit_wolf

from space.inference.core.arrays import Floats
from space.inference.core.novelty import MahalanobisDetector, StageStatistics
from trainer.data.splits.pieces import Pieces
from trainer.decision.temperature import Array, Labels

# Folds of the reference images: each fold is scored by a detector fitted to the others.
FOLDS = 5


def fit_detector(
    stages: Sequence[int], statistics: Sequence[Floats], truth: Labels
) -> MahalanobisDetector:
    """Fit class means and their common covariance, which is shrunk (Ledoit and Wolf 2004).

    Args:
        stages: of the network.
        statistics: by stage, channel statistics of the reference images, [image, statistic].
        truth: class index of each image.
    """
    pairs = zip(stages, statistics, strict=True)
    return MahalanobisDetector(
        {index: _fit_stage(values.astype(np.float64), truth) for index, values in pairs}
    )


def _fit_stage(values: Array, truth: Labels) -> StageStatistics:
    centre = values.mean(axis=0)
    # Standardize the statistics: shrinkage pulls the covariance towards a multiple of the identity.
    scale = np.maximum(values.std(axis=0), 1e-9)
    scaled = (values - centre) / scale
    means = np.stack([scaled[truth == label].mean(axis=0) for label in np.unique(truth)])
    residues = scaled - means[np.searchsorted(np.unique(truth), truth)]
    covariance, _ = ledoit_wolf(residues, assume_centered=True)
    variances, axes = np.linalg.eigh(covariance)
    whiten = axes / np.sqrt(np.maximum(variances, 1e-9))
    return StageStatistics(
        centre=centre.astype(np.float32),
        whiten=(whiten / scale[:, None]).astype(np.float32),
        classes=(means @ whiten).astype(np.float32),
    )


def held_out_novelty(
    stages: Sequence[int],
    statistics: Sequence[Floats],
    truth: Labels,
    groups: Sequence[int],
    seed: int,
) -> Array:
    """Return the novelty score of each reference image, by detectors fitted to the other folds.

    Folds do not cut through a shared surface. The result is empty without stages or with a single
    surface. An image whose class is missing in the other folds is left out, since its class is
    unknown to them. All reference images are scored, not only those of the small validation split,
    so that the limit varies less.
    """
    counts = np.bincount(truth)
    repeated = counts[counts > 1]
    folds = min(FOLDS, int(repeated.min()) if len(repeated) else 0, len(set(groups)))
    if folds < 2 or not stages:
        return np.zeros(0)
    novelty = np.full(len(truth), np.nan)
    pieces = Pieces(truth.tolist(), groups, len(counts))
    fold = pieces.dealt(folds, seed)[pieces.of_image]
    for number in range(folds):
        others, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        detector = fit_detector(stages, [values[others] for values in statistics], truth[others])
        scored = held_out[np.isin(truth[held_out], truth[others])]
        novelty[scored] = detector.novelty([values[scored] for values in statistics])
    scores: Array = novelty[~np.isnan(novelty)]
    return scores
