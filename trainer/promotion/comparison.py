"""Compare a new model with the published one, on test images that neither was trained on.

docs/concepts/promotion.md explains the method.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import datasets
import numpy as np
from PIL import Image
from tqdm import tqdm

from model_card.schema.base import Score
from model_card.schema.comparison import (
    NamedAccuracy,
    PairedAccuracy,
    PairedResult,
    PairedRobustness,
)
from space.inference.predictor import Predictor
from trainer.data.image_record import short_fingerprint
from trainer.data.images import bit_depth
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images
from trainer.data.splits.leakage import overlapping
from trainer.evaluation.metrics.intervals import grouped_proportion
from trainer.evaluation.metrics.pairs import Hits, adjusted, paired_difference
from trainer.inputs.corruptions import CORRUPTIONS
from trainer.promotion.corrupted import PLACE, CorruptedImages

BATCH_SIZE = 16


def unseen_rows(images: Images, trained_on: frozenset[int]) -> list[int]:
    """Return the rows of test images without the surface of an image that either model trained on.

    Args:
        images: of the new model, in its splits.
        trained_on: short fingerprints of the published model's training and validation images.
    """
    splits = images.splits
    test = splits["test"]["file"][:]
    seen = {*splits["train"]["file"][:], *splits["validation"]["file"][:]}
    seen |= {
        file for file, digest in images.contents.items() if short_fingerprint(digest) in trained_on
    }
    shown = overlapping(images.surfaces, test, seen) if images.surfaces else seen
    return [row for row, file in enumerate(test) if file not in shown]


def compare(
    new: Predictor,
    published: Predictor,
    images: Images,
    trained_on: frozenset[int] | None,
    corrupted_images: int = 0,
) -> PairedResult | None:
    """Predict the test images with both models.

    Args:
        new: the new model.
        published: the published model, with the same classes.
        images: of the new model, in its splits.
        trained_on: see `unseen_rows`; None if not known.
        corrupted_images: largest number of test images that both models also predict under each
            corruption.

    Returns:
        None if no test image is new to both models.

    Raises:
        ModelError: an output is not a finite number.
    """
    rows = unseen_rows(images, trained_on or frozenset())
    if not rows:
        return None
    split = images.splits["test"]
    test = split.select(rows)
    groups, truth = test["group"][:], _labels(test)
    after, before = (_hits(model, _read(model, test), truth) for model in (new, published))
    known = {short_fingerprint(digest) for digest in images.contents.values()}
    classes = {label: truth == label for label in images.labels}
    robustness = None
    if corrupted_images:
        chosen = CorruptedImages.choose((new, published), split, rows, corrupted_images, seed=0)
        robustness = _robustness(new, published, chosen)
    return PairedResult(
        overall=_paired(after, before, groups),
        test_images=len(split),
        groups=len(set(groups)),
        only_new=int((after & ~before).sum()),
        only_published=int((before & ~after).sum()),
        known_splits=trained_on is not None,
        missing_images=len((trained_on or frozenset()) - known),
        classes=_adjusted(
            {
                label: _paired(after[its], before[its], np.asarray(groups)[its].tolist())
                for label, its in classes.items()
                if its.any()
            }
        ),
        robustness=robustness,
    )


def _robustness(
    new: Predictor, published: Predictor, corrupted: CorruptedImages
) -> PairedRobustness:
    """Predict the same corrupted images with both models."""
    test = corrupted.test.select(corrupted.rows)
    groups, truth = test["group"][:], _labels(test)
    pairs = {}
    for corruption in CORRUPTIONS:
        after, before = (
            _hits(model, corrupted.under(corruption, model.bit_depth), truth, corruption.name)
            for model in (new, published)
        )
        pairs[corruption.name] = _paired(after, before, groups)
    return PairedRobustness(severity=PLACE, kinds=_adjusted(pairs))


def _labels(test: datasets.Dataset) -> np.ndarray:
    return np.asarray(test.features["label"].int2str(test["label"][:]))


def _read(model: Predictor, test: datasets.Dataset) -> Iterable[Image.Image]:
    """Yield images as a model was trained to read them."""
    return (open_image(row | {bit_depth.COLUMN: model.bit_depth}) for row in test)


def _hits(
    predictor: Predictor, images: Iterable[Image.Image], truth: np.ndarray, what: str = "comparing"
) -> Hits:
    """Return which images a model classifies correctly."""
    labels: list[str] = []
    with tqdm(total=len(truth), desc=what, unit="image", leave=False, disable=None) as bar:
        left = iter(images)
        while batch := list(islice(left, BATCH_SIZE)):
            labels += [prediction.label for prediction in predictor.predict(batch)]
            bar.update(len(batch))
    hits: Hits = np.asarray(labels) == truth
    return hits


def _adjusted(pairs: dict[str, PairedAccuracy]) -> list[NamedAccuracy]:
    """Return accuracies with their names, and with p-values adjusted for their number."""
    p_values = adjusted([pair.difference.p_value for pair in pairs.values()])
    return [
        NamedAccuracy(
            name=name,
            **dict(pair) | {"difference": pair.difference.model_copy(update={"p_value": p_value})},
        )
        for (name, pair), p_value in zip(pairs.items(), p_values, strict=True)
    ]


def _paired(after: Hits, before: Hits, groups: list[int]) -> PairedAccuracy:
    new, published = (_score(hits, groups) for hits in (after, before))
    return PairedAccuracy(
        images=len(after),
        new=new,
        published=published,
        difference=paired_difference(after, before, groups),
    )


def _score(hits: Hits, groups: list[int]) -> Score:
    return grouped_proportion(hits, groups)
