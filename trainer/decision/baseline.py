"""Fit the baseline of a model: what drift of later images is measured against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from pathlib import Path

import datasets
import numpy as np
import numpy.typing as npt
import torch

from space.inference.core.arrays import Floats, Pixels
from space.inference.core.classifier import Classifier
from space.inference.core.decision import Prediction
from space.inference.drift.baseline import (
    BASELINE_FILE,
    Baseline,
    ImageReference,
    Signature,
    Spread,
)
from space.inference.drift.image_statistics import NAMES, image_statistics
from trainer.data.images.decoding import open_image
from trainer.inputs.ahead import done_ahead
from trainer.inputs.corruptions import COMBINED, CORRUPTIONS, Corruption, to_bytes
from trainer.inputs.draws import mixed_seed

# Training images, the same number of each class; those that are corrupted; test images.
MOST_FITTED, MOST_CORRUPTED, MOST_MEASURED = 1000, 24, 2000
# The covariance of a class counts like that of so many images of all classes.
SHRINKAGE = 2 * len(NAMES)
# Of the statistics of test images, most of which are logarithms.
DECIMALS = 4
Rows = npt.NDArray[np.int64]


def fit_baseline(
    classifier: Classifier,
    train: datasets.Dataset,
    test: datasets.Dataset,
    predictions: Sequence[Prediction],
    *,
    corrupted_images: int,
    seed: int,
) -> Baseline:
    """Return predictions and image statistics of the test images, and what they are compared with.

    Args:
        classifier: the model.
        train: the training split, for the statistics by class and their shifts by corruptions.
        test: the test split.
        predictions: of `test`.
        corrupted_images: largest number of images to corrupt; 0 computes no image statistics.
        seed: of samples and corruptions.
    """
    images = (
        image_reference(classifier, train, test, corrupted_images, seed)
        if corrupted_images
        else None
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


def image_reference(
    classifier: Classifier,
    train: datasets.Dataset,
    test: datasets.Dataset,
    corrupted_images: int,
    seed: int,
) -> ImageReference:
    """Return the image statistics, and how corruptions shift those of some training images."""
    draw = np.random.default_rng(seed)
    chosen = draw.permutation(len(test))[:MOST_MEASURED]
    tested = dict(zip(chosen.tolist(), _statistics(_inputs(classifier, test, chosen)), strict=True))
    labels, count = np.asarray(train["label"][:]), len(classifier.labels)
    rows = draw.permutation(len(train))
    fitted = _first_of_each(rows, labels[rows], max(1, MOST_FITTED // count))
    inputs = list(_inputs(classifier, train, fitted))
    healthy = np.stack(list(_statistics(inputs)))
    measured = np.stack(list(tested.values()))
    return ImageReference(
        mean=measured.mean(axis=0).tolist(),
        covariance=np.cov(measured, rowvar=False, ddof=0).tolist(),
        signatures=_signatures(inputs[: min(MOST_CORRUPTED, corrupted_images)], healthy, seed),
        classes=spreads(healthy, labels[fitted], count),
        statistics=[
            tested[row].round(DECIMALS).tolist() if row in tested else None
            for row in range(len(test))
        ],
    )


def _inputs(classifier: Classifier, split: datasets.Dataset, rows: Rows) -> Iterator[Pixels]:
    return done_ahead(lambda row: classifier.prepare(open_image(split[int(row)])), rows)


def _statistics(inputs: Iterable[Pixels]) -> Iterator[Floats]:
    return done_ahead(image_statistics, inputs)


def _first_of_each(rows: Rows, labels: Rows, most: int) -> Rows:
    """Return the first rows of each class, in their order."""
    seen: Counter[int] = Counter()
    chosen = []
    for row, label in zip(rows, labels.tolist(), strict=True):
        seen[label] += 1
        if seen[label] <= most:
            chosen.append(row)
    return np.array(chosen)


def spreads(statistics: Floats, labels: Rows, count: int) -> list[Spread]:
    """Return how the statistics of each class vary.

    Args:
        statistics: [image, statistic].
        labels: of the images.
        count: number of classes; one without images is described by all images.
    """
    means = np.stack(
        [
            statistics[labels == label].mean(axis=0) if label in labels else statistics.mean(axis=0)
            for label in range(count)
        ]
    )
    rest = statistics - means[labels]
    shared = rest.T @ rest / len(rest)
    found = []
    for label, mean in enumerate(means):
        own = rest[labels == label]
        covariance = (own.T @ own + SHRINKAGE * shared) / (len(own) + SHRINKAGE)
        found.append(Spread(mean=mean.tolist(), covariance=covariance.tolist()))
    return found


def _signatures(inputs: Sequence[Pixels], healthy: Floats, seed: int) -> list[Signature]:
    """Return how each corruption shifts the statistics of images, given those without it."""

    def measured(copy: tuple[tuple[int, Corruption], int, int]) -> Floats:
        (number, corruption), place, image = copy
        own_seed = mixed_seed(mixed_seed(seed, number), place, image)
        severity = corruption.severities[place]
        return image_statistics(corrupt(inputs[image], corruption, severity, own_seed))

    # Several corruptions at once are no cause.
    kinds = [each for each in enumerate(CORRUPTIONS) if each[1] is not COMBINED]
    copies = product(kinds, range(len(COMBINED.severities)), range(len(inputs)))
    statistics = done_ahead(measured, copies)
    return [_signature(kind, statistics, healthy[: len(inputs)]) for _, kind in kinds]


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
