"""Learn from known images what they look like, and from how strange on an image is unknown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.covariance import ledoit_wolf

from space.inference.novelty import MahalanobisDetector, StageStatistics
from trainer.data.splits.pieces import Pieces
from trainer.decision.temperature import Array, Labels

# Of the known images, so that each is judged by what the others look like.
PARTS = 5


def fit_detector(
    stages: Sequence[int], described: Sequence[torch.Tensor], truth: Labels
) -> MahalanobisDetector:
    """Learn class means and the common covariance, which is shrunk (Ledoit and Wolf 2004).

    Args:
        stages: of the network.
        described: by stage, what `channel_statistics` returns for the known images.
        truth: their classes.
    """
    pairs = zip(stages, described, strict=True)
    return MahalanobisDetector(
        {index: _learn_stage(values.double(), truth) for index, values in pairs}
    )


def _learn_stage(values: torch.Tensor, truth: Labels) -> StageStatistics:
    centre = values.mean(dim=0)
    # Statistics of all sizes, brought to one scale before the covariance is shrunk towards it.
    scale = values.std(dim=0, correction=0).clamp_min(1e-9)
    scaled = ((values - centre) / scale).numpy()
    means = np.stack([scaled[truth == label].mean(axis=0) for label in np.unique(truth)])
    residues = scaled - means[np.searchsorted(np.unique(truth), truth)]
    covariance, _ = ledoit_wolf(residues, assume_centered=True)
    variances, axes = np.linalg.eigh(covariance)
    whiten = torch.from_numpy(axes / np.sqrt(np.maximum(variances, 1e-9)))
    return StageStatistics(
        centre=centre.float(),
        whiten=(whiten / scale[:, None]).float(),
        classes=(torch.from_numpy(means) @ whiten).float(),
    )


def held_out_novelty(
    stages: Sequence[int],
    described: Sequence[torch.Tensor],
    truth: Labels,
    groups: Sequence[int],
    seed: int,
) -> Array:
    """Return how strange each known image is to the others, without those of its surface.

    Nothing is returned where that can't be said: without stages, or of a single surface. An image
    whose class no other image shows is left out: to them, its class is an unknown one.
    Every image counts, not just the few of the validation split, so that the limit is steadier.
    """
    counts = np.bincount(truth)
    often = counts[counts > 1]
    parts = min(PARTS, int(often.min()) if len(often) else 0, len(set(groups)))
    if parts < 2 or not stages:
        return np.zeros(0)
    novelty = np.full(len(truth), np.nan)
    pieces = Pieces(truth.tolist(), groups, len(counts))
    fold = pieces.dealt(parts, seed)[pieces.of_image]
    for number in range(parts):
        others, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        known = fit_detector(stages, [values[others] for values in described], truth[others])
        counted = held_out[np.isin(truth[held_out], truth[others])]
        found = known.novelty([values[counted] for values in described])
        novelty[counted] = found.numpy()
    measured: Array = novelty[~np.isnan(novelty)]
    return measured
