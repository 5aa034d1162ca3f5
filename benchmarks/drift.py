"""Drift: after how many images it is found, how often healthy batches raise it, and its cause.

The test images of a finished run are divided at random into reference and batch, again for each
trial; pieces of surface stay together. The batch comes in random order, healthy or corrupted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tyro
from tqdm import tqdm

from benchmarks.measurement import Measurement, number_column, text_column
from space.inference.core.arrays import Floats, Pixels
from space.inference.core.decision import Prediction
from space.inference.drift.baseline import Baseline, ImageReference
from space.inference.drift.cause import MOST_NAMED, likeliest_causes
from space.inference.drift.comparison import ALARM, DriftComparison
from space.inference.drift.image_statistics import image_statistics
from space.inference.predictor import Predictor
from trainer.config.settings import TrainConfig
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import prepare_images
from trainer.decision.baseline import MOST_CORRUPTED, baseline_of, corrupt, image_reference
from trainer.inputs.corruptions import COMBINED, CORRUPTIONS, Corruption
from trainer.inputs.draws import mixed_seed

BATCH_SIZE = 16
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Settings:
    """A finished run, whose images are still there."""

    run_dir: tyro.conf.Positional[Path]
    """Its folder."""
    severity: int = 2
    """Of the corruptions, 1 to 5."""
    trials: int = 200
    """Divisions of the test images for each corruption."""
    healthy_trials: int = 2000
    """The same for healthy batches."""
    batch: int = 48
    """Images whose cause is estimated."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


@dataclass(frozen=True)
class Measured:
    """The test images under one corruption of one severity.

    Attributes:
        predictions: of each image.
        statistics: [image, statistic].
    """

    predictions: list[Prediction]
    statistics: Floats


def main(settings: Settings) -> None:
    """Measure each corruption, then healthy batches."""
    config = TrainConfig.read(settings.run_dir)
    boxes = config.checks.boxes
    [images, *_] = prepare_images(config.data, config.run, boxes, settings.run_dir)
    predictor = Predictor(settings.run_dir / "published")
    test = images.splits["test"]
    inputs = [predictor.prepare(open_image(row)) for row in tqdm(test, desc="reading")]
    groups = np.asarray(test["group"][:])
    healthy = measure(predictor, inputs)
    train = images.splits["train"]
    published = image_reference(predictor, train, test, MOST_CORRUPTED, config.run.seed)
    labels = predictor.labels
    measurement = Measurement(
        [
            text_column("Corruption"),
            number_column("Images until found, median", "{:.0f}"),
            number_column("90 %", "{:.0f}"),
            number_column("Alarms", "{:.1%}"),
            number_column("Cause named first", "{:.0%}"),
            number_column("Cause among the named", "{:.0%}"),
            number_column("Severity within 1", "{:.0%}"),
        ],
        f"severity {settings.severity} of 5; {settings.trials} trials, each with half of "
        f"{len(inputs)} test images as reference and the other half as batch; alarm at p ≤ "
        f"{ALARM:g}; cause of {settings.batch} images",
    )
    for kind in CORRUPTIONS:
        corrupted = measure(predictor, changed(inputs, kind, settings.severity))
        delays, first, named, near = [], [], [], []
        for trial in range(settings.trials):
            reference, batch = halves(groups, mixed_seed(trial, 1))
            known = known_from(published, healthy, reference)
            delays.append(delay(baseline(labels, known, healthy, reference), corrupted, batch))
            mean = corrupted.statistics[batch[: settings.batch]].mean(axis=0)
            causes = likeliest_causes(known, mean)
            right = [cause for cause in causes[:MOST_NAMED] if cause.name == kind.name]
            first.append(right == causes[:1] != [])
            named.append(bool(right))
            near.append(any(abs(cause.place - settings.severity) <= 1 for cause in right))
        median, most = (
            _finite(np.quantile(delays, share, method="higher")) for share in (0.5, 0.9)
        )
        shares = [float(np.mean(values)) for values in (first, named, near)]
        # Several corruptions at once are no cause.
        shown = [None] * len(shares) if kind is COMBINED else shares
        measurement.add(kind.name, median, most, float(np.isfinite(delays).mean()), *shown)
    alarms = []
    for trial in tqdm(range(settings.healthy_trials), desc="healthy"):
        reference, batch = halves(groups, mixed_seed(trial, 2))
        known = known_from(published, healthy, reference)
        found = delay(baseline(labels, known, healthy, reference), healthy, batch)
        alarms.append(np.isfinite(found))
    measurement.add(
        f"none ({len(alarms):,} trials)", None, None, float(np.mean(alarms)), *[None] * 3
    )
    measurement.write(settings.json)


def measure(predictor: Predictor, inputs: list[Pixels]) -> Measured:
    """Predict prepared images, and compute their statistics."""
    predictions: list[Prediction] = []
    for first in range(0, len(inputs), BATCH_SIZE):
        observed = predictor.observe_prepared(inputs[first : first + BATCH_SIZE])
        predictions += predictor.predict_from(observed)
    return Measured(predictions, np.stack([image_statistics(tiles) for tiles in inputs]))


def changed(inputs: list[Pixels], kind: Corruption, place: int) -> list[Pixels]:
    """Return the images under a corruption."""
    number = CORRUPTIONS.index(kind)
    return [
        corrupt(tiles, kind, kind.severities[place - 1], mixed_seed(3, number, place, row))
        for row, tiles in enumerate(inputs)
    ]


def known_from(published: ImageReference, healthy: Measured, rows: Rows) -> ImageReference:
    """Return what training would publish, had it only these test images."""
    statistics = healthy.statistics[rows]
    return published.model_copy(
        update={
            "mean": statistics.mean(axis=0).tolist(),
            "covariance": np.cov(statistics, rowvar=False, ddof=0).tolist(),
            "statistics": statistics.tolist(),
        }
    )


def baseline(labels: list[str], images: ImageReference, healthy: Measured, rows: Rows) -> Baseline:
    """Return the baseline of some test images."""
    return baseline_of(labels, [healthy.predictions[row] for row in rows], images)


def halves(groups: Rows, seed: int) -> tuple[Rows, Rows]:
    """Return the rows of reference and batch, each in random order; no group is in both."""
    draw = np.random.default_rng(seed)
    order = draw.permutation(np.unique(groups))
    sizes = np.array([(groups == group).sum() for group in order])
    chosen = order[np.cumsum(sizes) <= len(groups) / 2]
    first = np.isin(groups, chosen)
    return draw.permutation(np.flatnonzero(first)), draw.permutation(np.flatnonzero(~first))


def delay(known: Baseline, seen: Measured, batch: Rows) -> float:
    """Return the number of images until the alarm; infinity if the batch raises none."""
    comparison = DriftComparison(known)
    for number, row in enumerate(batch, 1):
        found = seen.predictions[row]
        answer = found.label, found.confidence, found.novelty, found.verdict
        comparison.add(*answer, seen.statistics[row])
        if comparison.p_value <= ALARM:
            return number
    return np.inf


def _finite(images: float) -> float | None:
    return float(images) if np.isfinite(images) else None


if __name__ == "__main__":
    main(tyro.cli(Settings))
