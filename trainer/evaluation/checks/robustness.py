"""Robustness: the published model on corrupted test images (`trainer.inputs.corruptions`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Any

import datasets
import numpy as np
import torch
from PIL import Image
from timm.data import resolve_model_data_config
from tqdm import tqdm

from model_card.figures.explanations import write_robustness
from model_card.schema.base import Score
from model_card.schema.robustness import CorruptionResult, Robustness, Step
from space.inference.core.arrays import Pixels
from space.inference.core.tiling import scaled_size
from space.inference.predictor import Prediction, Predictor
from trainer.data.images.decoding import open_image
from trainer.decision.outputs import observed_batches
from trainer.evaluation.checks.check import Check, CheckedModel
from trainer.evaluation.metrics.intervals import proportion
from trainer.inputs.ahead import done_ahead
from trainer.inputs.augment import plain_transform
from trainer.inputs.corruptions import CORRUPTIONS, Corruption, to_bytes, to_picture
from trainer.inputs.draws import mixed_seed


def measure_robustness(
    predictor: Predictor, test: datasets.Dataset, most_images: int, seed: int
) -> Robustness:
    """Predict the same images without corruption and with each kind and severity.

    Args:
        predictor: the published model.
        test: the test split.
        most_images: the largest number of images, balanced over the classes.
        seed: of the sample and of the corruptions.
    """
    rows = choose_rows(test["label"][:], most_images, seed)
    sample = test.select(rows)
    labels = sample.features["label"].names
    truth = [labels[label] for label in sample["label"][:]]
    data_config = resolve_model_data_config(predictor.model)
    tile = predictor.tile
    pixels = list(done_ahead(lambda row: _scaled(open_image(row), data_config, tile=tile), sample))

    def corrupted(copy: tuple[int, int, int]) -> Pixels:
        kind, place, image = copy
        corruption, own_seed = CORRUPTIONS[kind], mixed_seed(seed, kind, place, rows[image])
        levels = pixels[image] / 255
        return shown(to_bytes(corruption.apply(levels, corruption.severities[place - 1], own_seed)))

    def shown(image: torch.Tensor) -> Pixels:
        return predictor.prepare(to_picture(image))

    clean = _score(list(_predicted(predictor, done_ahead(shown, pixels))), truth)
    places = range(1, len(CORRUPTIONS[0].severities) + 1)
    copies = list(product(range(len(CORRUPTIONS)), places, range(len(pixels))))
    with tqdm(
        total=len(copies), desc="corrupted images", unit="image", leave=False, disable=None
    ) as bar:
        predictions = _predicted(predictor, done_ahead(corrupted, copies), bar)
        kinds = [_result(corruption, predictions, truth) for corruption in CORRUPTIONS]
    return Robustness(
        images=len(rows),
        of=len(test),
        side_px=data_config["input_size"][-1],
        seed=seed,
        clean=clean[0],
        clean_unnoticed=clean[1],
        kinds=kinds,
    )


def _scaled(image: Image.Image, data_config: dict[str, Any], *, tile: bool) -> torch.Tensor:
    """Return an image at the scale of the network's input: 8-bit, [3, height, width].

    A long image is corrupted before it is cut into tiles, as a camera would corrupt it.
    """
    channels, side, _ = data_config["input_size"]
    width, height = scaled_size(*image.size, side) if tile else (side, side)
    pixels: torch.Tensor = plain_transform(data_config | {"input_size": (channels, height, width)})(
        image
    )
    return pixels


def choose_rows(truth: Sequence[int], most: int, seed: int) -> list[int]:
    """Return at most `most` random rows, balanced over the classes as far as possible."""
    order = np.random.default_rng(seed).permutation(len(truth)).tolist()
    rank: dict[int, int] = {}
    ranked = []
    for row in order:
        rank[truth[row]] = rank.get(truth[row], 0) + 1
        ranked.append((rank[truth[row]], row))
    # Take the first row of each class, then the second of each, and so on.
    return sorted(row for _, row in sorted(ranked)[:most])


def _predicted(
    predictor: Predictor, inputs: Iterator[Pixels], bar: tqdm[Any] | None = None
) -> Iterator[Prediction]:
    for observation in observed_batches(predictor, inputs, bar=bar):
        yield from predictor.predict_from(observation)


def _result(
    corruption: Corruption, predictions: Iterator[Prediction], truth: Sequence[str]
) -> CorruptionResult:
    """Score the next predictions: those of all images, at each severity in turn."""
    steps = []
    for severity in corruption.severities:
        accuracy, unnoticed = _score(list(islice(predictions, len(truth))), truth)
        steps.append(Step(severity=severity, accuracy=accuracy, unnoticed=unnoticed))
    return CorruptionResult(name=corruption.name, unit=corruption.unit, steps=steps)


def _score(predictions: Sequence[Prediction], truth: Sequence[str]) -> tuple[Score, Score]:
    """Return accuracy, and the share of errors that the decision accepted automatically."""
    correct = [p.label == label for p, label in zip(predictions, truth, strict=True)]
    unnoticed = [
        not hit and p.verdict == "class" for p, hit in zip(predictions, correct, strict=True)
    ]
    return proportion(sum(correct), len(truth)), proportion(sum(unnoticed), len(truth))


def join(folds: Sequence[Robustness]) -> Robustness:
    """Pool the folds of a cross-validation."""
    images = sum(fold.images for fold in folds)

    def pooled(scores: Sequence[Score]) -> Score:
        pairs = zip(scores, folds, strict=True)
        return proportion(sum(round(score.value * fold.images) for score, fold in pairs), images)

    kinds = [
        CorruptionResult(
            name=same[0].name,
            unit=same[0].unit,
            steps=[
                Step(
                    severity=steps[0].severity,
                    accuracy=pooled([step.accuracy for step in steps]),
                    unnoticed=pooled([step.unnoticed for step in steps]),
                )
                for steps in zip(*(kind.steps for kind in same), strict=True)
            ],
        )
        for same in zip(*(fold.kinds for fold in folds), strict=True)
    ]
    return Robustness(
        images=images,
        of=sum(fold.of for fold in folds),
        side_px=folds[0].side_px,
        seed=folds[0].seed,
        clean=pooled([fold.clean for fold in folds]),
        clean_unnoticed=pooled([fold.clean_unnoticed for fold in folds]),
        kinds=kinds,
    )


def _measure(model: CheckedModel) -> Robustness | None:
    most = model.settings.robustness_images
    return measure_robustness(model.predictor, model.test, most, model.seed) if most else None


CHECK = Check(_measure, join, write_robustness)
