"""The passport of a file: what it computes for the whole test split, next to the weights."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import datasets
import numpy as np
import numpy.typing as npt
from PIL import Image

from model_card.schema.base import Score
from model_card.schema.exports import FormatPassport
from space.inference.core.arrays import Floats, Pixels
from space.inference.core.classifier import Classifier, Observation
from space.inference.core.decision import Prediction
from space.inference.engines.names import Precision
from trainer.data.image_defects import shown_classes
from trainer.data.images.decoding import open_image
from trainer.decision.temperature import Array, calibration_error
from trainer.decision.thresholds import Flags
from trainer.evaluation.metrics.intervals import grouped_proportion, proportion
from trainer.evaluation.rejection import detection_auroc

BATCH_SIZE = 16
# Of the decisions; see docs/guides/export.md.
MOST_CHANGED = 0.005
TIMED_RUNS, WARM_UP_RUNS = 15, 3


@dataclass(frozen=True)
class PreparedImages:
    """The images that all formats are measured on, ready for the network.

    Attributes:
        inputs: of the test split, in its order.
        truth: class index of each.
        groups: of the images; those of a group show the same surface.
        ood: of images that show none of the classes; none if the model rejects nothing.
        shown: which classes each image of the test split shows, [image, class]; None if the model
            names one class.
    """

    inputs: list[Pixels]
    truth: np.ndarray
    groups: list[int]
    ood: list[Pixels]
    shown: Flags | None = None

    @classmethod
    def prepare(
        cls, classifier: Classifier, test: datasets.Dataset, ood: Iterable[Image.Image]
    ) -> PreparedImages:
        """Prepare the test split, and OOD images if the classifier has a detector."""
        rejects = classifier.decision is not None and classifier.decision.detector is not None
        return cls(
            inputs=[classifier.prepare(open_image(row)) for row in test],
            truth=np.asarray(test["label"][:]),
            groups=list(test["group"][:]),
            ood=[classifier.prepare(image) for image in ood] if rejects else [],
            shown=shown_classes(test) if classifier.facts.multi_label else None,
        )


@dataclass(frozen=True)
class Measurement:
    """What one classifier computed for the test images.

    Attributes:
        logits: [image, class].
        predictions: of the same images.
        novelty: of the test images and of the OOD images; empty without a detector.
        seconds_one: of one image, the network alone.
        seconds_sixteen: of an image in a batch of 16.
    """

    logits: Floats
    predictions: list[Prediction]
    novelty: tuple[Array, Array]
    seconds_one: float
    seconds_sixteen: float


def measure(classifier: Classifier, images: PreparedImages) -> Measurement:
    """Run a classifier over all images, and take its time."""
    seen = _observed(classifier, images.inputs)
    detector = classifier.decision.detector if classifier.decision else None
    novelty: tuple[Array, Array] = (np.zeros(0), np.zeros(0))
    if detector and images.ood:
        unknown = _observed(classifier, images.ood)
        novelty = (
            detector.novelty(seen.statistics).astype(np.float64),
            detector.novelty(unknown.statistics).astype(np.float64),
        )
    tiles = np.concatenate(list(islice(_repeated(images.inputs), BATCH_SIZE)))[:BATCH_SIZE]
    return Measurement(
        logits=seen.logits,
        predictions=classifier.predict_from(seen),
        novelty=novelty,
        seconds_one=median_seconds(classifier, tiles[:1]),
        seconds_sixteen=median_seconds(classifier, tiles) / len(tiles),
    )


def write_passport(
    name: str,
    title: str,
    files: Sequence[str],
    size_bytes: int,
    classifier: Classifier,
    found: Measurement,
    reference: Measurement,
    images: PreparedImages,
    *,
    precision: Precision,
) -> FormatPassport:
    """Return the passport of a format, and in it why the format is refused, if it is.

    Args:
        name: of the format.
        title: of the format, for people.
        files: as they would be published.
        size_bytes: of all files.
        classifier: that was measured.
        found: its measurement.
        reference: the measurement of the weights.
        images: that both were measured on.
        precision: that the file asks for.
    """
    truth = images.truth
    labels = classifier.labels
    probabilities = _probabilities(found)
    right = probabilities.argmax(axis=1) == truth
    same = [
        same_decision(ours, theirs)
        for ours, theirs in zip(found.predictions, reference.predictions, strict=True)
    ]
    accuracy = grouped_proportion(right, images.groups)
    right_by_weights = _probabilities(reference).argmax(axis=1) == truth
    expected = grouped_proportion(right_by_weights, images.groups)
    covered = [
        labels[true] in each.candidates for true, each in zip(truth, found.predictions, strict=True)
    ]
    refused = why_refused(sum(same), len(same), accuracy, expected)
    return FormatPassport(
        format=name,
        title=title,
        files=[] if refused else list(files),
        size_bytes=size_bytes,
        engine=classifier.engine.name,
        precision=precision,
        images=len(truth),
        ms_one=1000 * found.seconds_one,
        ms_sixteen=1000 * found.seconds_sixteen,
        accuracy=accuracy,
        calibration_error=_calibration_error(probabilities, right, images.shown),
        coverage=proportion(sum(covered), len(covered)) if classifier.decision else None,
        ood_auroc=detection_auroc(*found.novelty) if len(found.novelty[1]) else None,
        same_decision=float(np.mean(same)),
        largest_logit_difference=float(np.abs(found.logits - reference.logits).max()),
        slower=None,
        refused=refused,
    )


def same_decision(ours: Prediction, theirs: Prediction) -> bool:
    """Return whether two predictions lead to the same action.

    With several defects these are the named ones, and those that a person should look for.
    """
    if ours.verdict != theirs.verdict:
        return False
    if ours.verdict == "unknown":
        return True
    if ours.defects is None or theirs.defects is None:
        return ours.label == theirs.label
    named = set(ours.defects) == set(theirs.defects)
    return named and set(ours.candidates) == set(theirs.candidates)


def why_refused(same: int, images: int, accuracy: Score, expected: Score) -> str | None:
    """Return why a format must not be published, None if it may.

    Args:
        same: number of images that it decides as the weights do.
        images: of the test split.
        accuracy: of the format.
        expected: of the weights, with its interval.
    """
    changed = images - same
    if changed > MOST_CHANGED * images:
        return (
            f"it decides {changed} of {images} test images differently "
            f"({100 * changed / images:.1f} %; at most {100 * MOST_CHANGED:g} % may differ)"
        )
    if accuracy.value < expected.low:
        return (
            f"its accuracy of {100 * accuracy.value:.1f} % is below the interval of the weights, "
            f"{100 * expected.low:.1f} to {100 * expected.high:.1f} %"
        )
    return None


def _calibration_error(
    probabilities: Array, right: npt.NDArray[np.bool_], shown: Flags | None
) -> float:
    """Return the ECE of the most probable class, or of each class of each image by itself."""
    if shown is None:
        return calibration_error(probabilities.max(axis=1), right)
    flat = probabilities.ravel()
    return calibration_error(np.maximum(flat, 1 - flat), (flat >= 0.5) == shown.ravel())


def _probabilities(found: Measurement) -> Array:
    return np.asarray([[*p.probabilities.values()] for p in found.predictions])


def _observed(classifier: Classifier, inputs: Sequence[Pixels]) -> Observation:
    batches = [
        classifier.observe_prepared(inputs[first : first + BATCH_SIZE])
        for first in range(0, len(inputs), BATCH_SIZE)
    ]
    return Observation(
        np.concatenate([batch.logits for batch in batches]),
        [np.concatenate(s) for s in zip(*(batch.statistics for batch in batches), strict=True)],
    )


def _repeated(inputs: Sequence[Pixels]) -> Iterator[Pixels]:
    while True:
        yield from inputs


def median_seconds(classifier: Classifier, pixels: Pixels) -> float:
    """Return the median time of the network for a batch."""
    times = []
    for _ in range(WARM_UP_RUNS + TIMED_RUNS):
        start = time.perf_counter()
        classifier.engine.run(pixels)
        times.append(time.perf_counter() - start)
    return float(np.median(times[WARM_UP_RUNS:]))
