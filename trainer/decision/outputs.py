"""Outputs of the trained network for reference, test and OOD images: the basis of the decision."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from PIL import Image
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from space.inference.core.arrays import Floats, Pixels
from space.inference.core.classifier import Engine, Observation
from space.inference.core.novelty import MahalanobisDetector
from space.inference.core.tiling import TILES_AT_ONCE
from space.inference.networks.stages import feature_stages
from space.inference.predictor import Predictor
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images
from trainer.decision.novelty import fit_detector, held_out_novelty
from trainer.decision.temperature import Array, Labels
from trainer.errors import DataError
from trainer.inputs.ahead import done_ahead
from trainer.runtime import checkpoint
from trainer.runtime.system import core_count

logger = logging.getLogger(__name__)

OUTPUTS_FILE = "outputs.safetensors"
BATCH_SIZE = TILES_AT_ONCE
# Of prepared images that wait for the network: 400 of 160 px.
TURN_BYTES = 2**25
LARGEST_DIFFERENCE = 1e-3
MOST_LEFT_OUT = 20


@dataclass(frozen=True)
class ReferenceSet:
    """Training and validation images as the reference of the decision.

    Attributes:
        stages: of the network, whose channel statistics are compared; empty if it has none.
        statistics: channel statistics of the images, by stage.
        truth: class index of each image.
        detector: fitted to the images; None without stages.
        novelty: score of each image, by the images that do not share its surface.
        validation_logits: [image, class], of the validation split.
        validation_truth: class index of each image of the validation split.
    """

    stages: list[int]
    statistics: list[Floats]
    truth: Labels
    detector: MahalanobisDetector | None
    novelty: Array
    validation_logits: Array
    validation_truth: Labels


@dataclass(frozen=True)
class HeldOutOutputs:
    """Outputs for images that the network was not trained on.

    Attributes:
        logits: of the test split, [image, class].
        truth: class index of each test image.
        novelty: score of each test image; None without a detector.
        reference_novelty: scores of the reference images, see `ReferenceSet`.
        ood: scores of out-of-distribution images, by kind.
        left_out: for each class, scores of the other classes' test images and of its own, by a
            detector that was fitted without the class.
    """

    logits: Floats
    truth: Labels
    novelty: Floats | None
    reference_novelty: Array
    ood: Mapping[str, Floats]
    left_out: Mapping[str, tuple[Floats, Floats]]

    def save(self, run_dir: Path) -> None:
        """Save the outputs in a run folder, for a cross-validation to join."""
        arrays = {"logits": self.logits, "truth": self.truth, "known": self.reference_novelty}
        if self.novelty is not None:
            arrays["novelty"] = self.novelty
        for index, values in enumerate(self.ood.values()):
            arrays[f"ood{index}"] = values
        for index, (known, unknown) in enumerate(self.left_out.values()):
            arrays[f"others{index}"] = known
            arrays[f"left_out{index}"] = unknown
        facts = {"ood": list(self.ood), "left_out": list(self.left_out)}
        tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
        checkpoint.save(run_dir / OUTPUTS_FILE, tensors, facts)

    @classmethod
    def load(cls, run_dir: Path) -> HeldOutOutputs:
        """Load the outputs from a run folder.

        Raises:
            DataError: the file is damaged or missing.
        """
        file = run_dir / OUTPUTS_FILE
        if not file.is_file():
            raise DataError(
                f"{file} is missing: an earlier version of this program wrote {run_dir}. "
                "Remove that folder; it is then trained again."
            )
        tensors, facts = checkpoint.load(file)
        arrays = {name: values.numpy() for name, values in tensors.items()}
        return cls(
            logits=arrays["logits"],
            truth=arrays["truth"],
            novelty=arrays.get("novelty"),
            reference_novelty=arrays["known"],
            ood={kind: arrays[f"ood{index}"] for index, kind in enumerate(facts["ood"])},
            left_out={
                label: (arrays[f"others{index}"], arrays[f"left_out{index}"])
                for index, label in enumerate(facts["left_out"])
            },
        )


def fit_reference(
    predictor: Predictor,
    engine: Engine,
    stages: list[int],
    images: Images,
    most: int,
    seed: int,
) -> ReferenceSet:
    """Fit the reference set to validation images and at most `most` training images.

    Args:
        predictor: prepares the images.
        engine: of the predictor.
        stages: whose statistics the engine computes; none if no surface is unknown.
        images: all splits.
        most: number of training images.
        seed: chooses them.
    """
    validation, train = images.splits["validation"], images.splits["train"]
    observed = observe_split(predictor, validation, engine, "validation images")
    reference, statistics = validation, observed.statistics
    if stages:
        sample = _sample(train, most, seed)
        more = observe_split(predictor, sample, engine, "training images")
        reference = datasets.concatenate_datasets([validation, sample])
        statistics = [
            np.concatenate(pair) for pair in zip(statistics, more.statistics, strict=True)
        ]
    truth = np.asarray(reference["label"][:])
    novelty = held_out_novelty(stages, statistics, truth, reference["group"][:], seed)
    return ReferenceSet(
        stages=stages,
        statistics=statistics,
        truth=truth,
        detector=fit_detector(stages, statistics, truth) if len(novelty) else None,
        novelty=novelty,
        validation_logits=observed.logits.astype(np.float64),
        validation_truth=np.asarray(validation["label"][:]),
    )


def collect_outputs(
    reference: ReferenceSet,
    detector: MahalanobisDetector | None,
    labels: Sequence[str],
    test: datasets.Dataset,
    observed: Observation,
    ood: Mapping[str, Observation],
) -> HeldOutOutputs:
    """Collect logits and novelty scores of test and OOD images, and of each class left out.

    Args:
        reference: of the decision.
        detector: of the decision; None if it rejects nothing.
        labels: class names.
        test: the test split.
        observed: outputs of the published network for `test`.
        ood: outputs for out-of-distribution images, by kind.
    """
    truth = np.asarray(test["label"][:])
    return HeldOutOutputs(
        logits=observed.logits,
        truth=truth,
        novelty=detector.novelty(observed.statistics) if detector else None,
        reference_novelty=reference.novelty,
        ood={kind: detector.novelty(images.statistics) for kind, images in ood.items()}
        if detector
        else {},
        left_out=_leave_classes_out(reference, labels, truth, observed.statistics)
        if detector
        else {},
    )


def _leave_classes_out(
    reference: ReferenceSet, labels: Sequence[str], truth: Labels, statistics: list[Floats]
) -> dict[str, tuple[Array, Array]]:
    """Fit the detector without each class in turn, and score all test images with it.

    Each class costs a fit: with many classes, only MOST_LEFT_OUT evenly spaced ones are left out.
    """
    if len(labels) < 3:
        return {}

    def without(index: int) -> tuple[Array, Array]:
        rest = reference.truth != index
        rest_statistics = [values[rest] for values in reference.statistics]
        detector = fit_detector(reference.stages, rest_statistics, reference.truth[rest])
        novelty = detector.novelty(statistics)
        return novelty[truth != index], novelty[truth == index]

    left_out = range(0, len(labels), -(-len(labels) // MOST_LEFT_OUT))
    # numpy's linear algebra leaves the interpreter to other threads; its own would get in the way.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(core_count()) as pool:
        return dict(
            zip((labels[index] for index in left_out), pool.map(without, left_out), strict=True)
        )


def observe_split(
    predictor: Predictor, split: datasets.Dataset, engine: Engine, title: str
) -> Observation:
    """Pass all images of a split through an engine of the predictor."""
    with tqdm(total=len(split), desc=title, unit="image", leave=False, disable=None) as bar:
        inputs = done_ahead(lambda row: predictor.prepare(open_image(row)), split)
        return _joined(list(observed_batches(predictor, inputs, engine, bar)))


def observe_images(
    predictor: Predictor, images: Iterable[Image.Image], engine: Engine
) -> Observation:
    """Pass images through an engine of the predictor."""
    inputs = done_ahead(predictor.prepare, images)
    return _joined(list(observed_batches(predictor, inputs, engine)))


def observed_batches(
    predictor: Predictor,
    inputs: Iterable[Pixels],
    engine: Engine | None = None,
    bar: tqdm[Any] | None = None,
) -> Iterator[Observation]:
    """Yield the outputs for each batch of prepared images, in order.

    All cores prepare images, then all run the network, in turn. While an engine waits for images,
    its threads spin and slow down those that prepare them.

    Args:
        predictor: of the images.
        inputs: what it prepared of each.
        engine: instead of the predictor's own.
        bar: of progress.
    """
    at_once = (engine or predictor.engine).batches_at_once
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(at_once, initializer=torch.set_num_threads, initargs=(threads,))
    try:
        for turn in _turns(inputs, at_once * BATCH_SIZE):
            batches = [turn[at : at + BATCH_SIZE] for at in range(0, len(turn), BATCH_SIZE)]
            for observed in pool.map(partial(predictor.observe_prepared, engine=engine), batches):
                if bar is not None:
                    bar.update(len(observed.logits))
                yield observed
    finally:
        pool.shutdown(cancel_futures=True)


def _turns(inputs: Iterable[Pixels], multiple: int) -> Iterator[list[Pixels]]:
    """Yield inputs that take TURN_BYTES, again and again.

    Up to twice the bytes, their number is a multiple: cores would wait at the end of each turn for
    the one that has another batch, or a longer one.
    """
    turn, size_bytes = [], 0
    for each in inputs:
        turn.append(each)
        size_bytes += each.nbytes
        full = size_bytes >= TURN_BYTES and len(turn) % multiple == 0
        if full or size_bytes >= 2 * TURN_BYTES:
            yield turn
            turn, size_bytes = [], 0
    if turn:
        yield turn


def _joined(batches: Sequence[Observation]) -> Observation:
    return Observation(
        logits=np.concatenate([batch.logits for batch in batches]),
        statistics=[
            np.concatenate(maps) for maps in zip(*(b.statistics for b in batches), strict=True)
        ],
    )


def _sample(split: datasets.Dataset, most: int, seed: int) -> datasets.Dataset:
    """Return at most `most` random rows."""
    if len(split) <= most:
        return split
    rows = np.random.default_rng(seed).choice(len(split), most, replace=False)
    return split.select(np.sort(rows))


def checked_stages(predictor: Predictor) -> list[int]:
    """Return the stages to observe; none, with a warning, if observing them changes the logits."""
    stages = feature_stages(predictor.model)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image = Image.fromarray(noise)
    if stages:
        plain = predictor.observe([image], []).logits
        staged = predictor.observe([image], stages).logits
        if np.abs(plain - staged).max() <= LARGEST_DIFFERENCE:
            return stages
    logger.warning(
        "The stages of this network can't be observed, so it can't recognize unknown surfaces."
    )
    return []
