"""Drift: after how many images it is found, how often healthy batches raise it, and its cause.

The test images of a finished run are divided at random into reference and batch, again for each
trial; pieces of surface stay together. The batch comes in random order, healthy or corrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tyro
from tqdm import tqdm

from benchmarks.measurement import Measurement, number_column, text_column
from space.inference.core.arrays import Floats, Pixels
from space.inference.core.decision import Prediction
from space.inference.drift.baseline import ImageReference, Signature
from space.inference.drift.cause import MOST_NAMED, likeliest_causes
from space.inference.drift.comparison import ALARM
from space.inference.drift.image_statistics import image_statistics
from space.inference.drift.martingale import DriftTest
from space.inference.predictor import Predictor
from trainer.config.settings import TrainConfig
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import prepare_images
from trainer.decision.baseline import MOST_CORRUPTED, corrupt
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
    signatures = [
        shifts(inputs, healthy.statistics, kind) for kind in CORRUPTIONS if kind is not COMBINED
    ]
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
            delays.append(delay(healthy, corrupted, reference, batch))
            known = image_reference(healthy.statistics, signatures, reference)
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
    alarms = [
        np.isfinite(delay(healthy, healthy, *halves(groups, mixed_seed(trial, 2))))
        for trial in tqdm(range(settings.healthy_trials), desc="healthy")
    ]
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


def shifts(inputs: list[Pixels], healthy: Floats, kind: Corruption) -> Callable[[Rows], Signature]:
    """Return how a corruption shifts the statistics of given images."""
    by_place = [
        np.stack([image_statistics(tiles) for tiles in changed(inputs, kind, place)]) - healthy
        for place in range(1, len(kind.severities) + 1)
    ]

    def signature(rows: Rows) -> Signature:
        return Signature(
            name=kind.name,
            unit=kind.unit,
            check=kind.check,
            severities=list(kind.severities),
            shifts=[shift[rows].mean(axis=0).tolist() for shift in by_place],
        )

    return signature


def image_reference(
    healthy: Floats, signatures: list[Callable[[Rows], Signature]], reference: Rows
) -> ImageReference:
    """Return what training would publish, had it only the reference images."""
    known = healthy[reference]
    return ImageReference(
        mean=known.mean(axis=0).tolist(),
        covariance=np.cov(known, rowvar=False, ddof=0).tolist(),
        signatures=[signature(reference[:MOST_CORRUPTED]) for signature in signatures],
    )


def halves(groups: Rows, seed: int) -> tuple[Rows, Rows]:
    """Return the rows of reference and batch, each in random order; no group is in both."""
    draw = np.random.default_rng(seed)
    order = draw.permutation(np.unique(groups))
    sizes = np.array([(groups == group).sum() for group in order])
    chosen = order[np.cumsum(sizes) <= len(groups) / 2]
    first = np.isin(groups, chosen)
    return draw.permutation(np.flatnonzero(first)), draw.permutation(np.flatnonzero(~first))


def delay(healthy: Measured, seen: Measured, reference: Rows, batch: Rows) -> float:
    """Return the number of images until the alarm; infinity if the batch raises none."""

    def answer(prediction: Prediction) -> tuple[str, float, float | None]:
        return prediction.label, prediction.confidence, prediction.novelty

    test = DriftTest(answer(healthy.predictions[row]) for row in reference)
    for row in batch:
        test.add(*answer(seen.predictions[row]))
        if test.p_value <= ALARM:
            return test.images
    return np.inf


def _finite(images: float) -> float | None:
    return float(images) if np.isfinite(images) else None


if __name__ == "__main__":
    main(tyro.cli(Settings))
