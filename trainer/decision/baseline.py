"""Fit the baseline of a model: what drift of later images is measured against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path

import datasets
import numpy as np
import torch

from space.inference.core.arrays import Floats, Pixels
from space.inference.core.classifier import Classifier
from space.inference.core.decision import Prediction
from space.inference.drift.baseline import BASELINE_FILE, Baseline, ImageReference, Signature
from space.inference.drift.image_statistics import image_statistics
from trainer.data.images.decoding import open_image
from trainer.inputs.ahead import done_ahead
from trainer.inputs.corruptions import COMBINED, CORRUPTIONS, Corruption, to_bytes
from trainer.inputs.draws import mixed_seed

MOST_MEASURED, MOST_CORRUPTED = 200, 24


def fit_baseline(
    classifier: Classifier,
    test: datasets.Dataset,
    predictions: Sequence[Prediction],
    *,
    corrupted_images: int,
    seed: int,
) -> Baseline:
    """Return predictions and image statistics of the test images, and how corruptions shift them.

    Args:
        classifier: the model.
        test: the test split.
        predictions: of `test`.
        corrupted_images: largest number of images to corrupt; 0 computes no image statistics.
        seed: of samples and corruptions.
    """
    images = (
        _image_reference(classifier, test, corrupted_images, seed) if corrupted_images else None
    )
    return baseline_of(classifier.labels, predictions, images)


def baseline_of(
    labels: Sequence[str], predictions: Sequence[Prediction], images: ImageReference | None
) -> Baseline:
    """Return the baseline of predictions."""
    novelty = [p.novelty for p in predictions if p.novelty is not None]
    return Baseline(
        labels=list(labels),
        predicted=[labels.index(p.label) for p in predictions],
        confidence=[p.confidence for p in predictions],
        novelty=novelty if len(novelty) == len(predictions) else None,
        verdicts=Counter(p.verdict for p in predictions),
        images=images,
    )


def write_baseline(baseline: Baseline, folder: Path) -> None:
    """Write `baseline.json` into a published folder."""
    (folder / BASELINE_FILE).write_text(baseline.model_dump_json() + "\n", encoding="utf-8")


def _image_reference(
    classifier: Classifier, test: datasets.Dataset, corrupted_images: int, seed: int
) -> ImageReference:
    order = np.random.default_rng(seed).permutation(len(test))[:MOST_MEASURED]
    inputs = list(done_ahead(lambda row: classifier.prepare(open_image(test[int(row)])), order))
    healthy = np.stack(list(done_ahead(image_statistics, inputs)))
    few = min(MOST_CORRUPTED, corrupted_images, len(inputs))

    def measured(copy: tuple[tuple[int, Corruption], int, int]) -> Floats:
        (number, corruption), place, image = copy
        own_seed = mixed_seed(mixed_seed(seed, number), place, image)
        severity = corruption.severities[place]
        return image_statistics(corrupt(inputs[image], corruption, severity, own_seed))

    # Several corruptions at once are no cause.
    kinds = [each for each in enumerate(CORRUPTIONS) if each[1] is not COMBINED]
    copies = product(kinds, range(len(COMBINED.severities)), range(few))
    statistics = done_ahead(measured, copies)
    return ImageReference(
        mean=healthy.mean(axis=0).tolist(),
        covariance=np.cov(healthy, rowvar=False, ddof=0).tolist(),
        signatures=[_signature(kind, statistics, healthy[:few]) for _, kind in kinds],
    )


def _signature(corruption: Corruption, statistics: Iterator[Floats], healthy: Floats) -> Signature:
    """Return the mean shift of the next statistics: those of all images, at each severity."""
    shifts = [
        (np.stack(list(islice(statistics, len(healthy)))) - healthy).mean(axis=0).tolist()
        for _ in corruption.severities
    ]
    return Signature(
        name=corruption.name,
        unit=corruption.unit,
        check=corruption.check,
        severities=list(corruption.severities),
        shifts=shifts,
    )


def corrupt(tiles: Pixels, corruption: Corruption, severity: float, seed: int) -> Pixels:
    """Return what the network sees of a corrupted image, [tile, row, column, 3]."""
    corrupted = []
    for tile in tiles:
        levels = torch.from_numpy(tile.copy()).permute(2, 0, 1) / 255
        changed = to_bytes(corruption.apply(levels, severity, seed))
        corrupted.append(changed.permute(1, 2, 0).numpy())
    return np.stack(corrupted)
