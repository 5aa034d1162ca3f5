"""Compare a new model with the published one, on test images that neither was trained on.

docs/guides/publish.md explains the method.
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from model_card.schema.base import Score
from model_card.schema.comparison import NamedAccuracy, PairedAccuracy, PairedResult
from space.inference.predictor import Predictor
from trainer.data.image_record import short_fingerprint
from trainer.data.images import bit_depth
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images
from trainer.data.splits.leakage import overlapping
from trainer.evaluation.metrics.intervals import grouped_proportion
from trainer.evaluation.metrics.pairs import Hits, adjusted, paired_difference

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
    new: Predictor, published: Predictor, images: Images, trained_on: frozenset[int] | None
) -> PairedResult | None:
    """Predict the test images with both models.

    Args:
        new: the new model.
        published: the published model, with the same classes.
        images: of the new model, in its splits.
        trained_on: see `unseen_rows`; None if not known.

    Returns:
        None if no test image is new to both models.

    Raises:
        ModelError: an output is not a finite number.
    """
    rows = unseen_rows(images, trained_on or frozenset())
    if not rows:
        return None
    test = images.splits["test"].select(rows)
    groups = test["group"][:]
    truth = np.asarray(test.features["label"].int2str(test["label"][:]))
    after, before = (_hits(model, images, rows, truth) for model in (new, published))
    known = {short_fingerprint(digest) for digest in images.contents.values()}
    return PairedResult(
        overall=_paired(after, before, groups),
        test_images=len(images.splits["test"]),
        groups=len(set(groups)),
        only_new=int((after & ~before).sum()),
        only_published=int((before & ~after).sum()),
        known_splits=trained_on is not None,
        missing_images=len((trained_on or frozenset()) - known),
        classes=_by_name(
            {label: truth == label for label in images.labels}, after, before, np.asarray(groups)
        ),
    )


def _hits(predictor: Predictor, images: Images, rows: list[int], truth: np.ndarray) -> Hits:
    """Return which test images a model classifies correctly; it reads them as it was trained."""
    test = images.splits["test"].select(rows)
    labels: list[str] = []
    with tqdm(total=len(test), desc="comparing", unit="image", leave=False, disable=None) as bar:
        for first in range(0, len(test), BATCH_SIZE):
            batch = test.select(range(first, min(first + BATCH_SIZE, len(test))))
            shown = [open_image(row | {bit_depth.COLUMN: predictor.bit_depth}) for row in batch]
            labels += [prediction.label for prediction in predictor.predict(shown)]
            bar.update(len(batch))
    hits: Hits = np.asarray(labels) == truth
    return hits


def _by_name(
    members: dict[str, Hits], after: Hits, before: Hits, groups: np.ndarray
) -> list[NamedAccuracy]:
    """Return both accuracies on each named set of images, with adjusted p-values."""
    found = {
        name: _paired(after[chosen], before[chosen], groups[chosen].tolist())
        for name, chosen in members.items()
        if chosen.any()
    }
    p_values = adjusted([pair.difference.p_value for pair in found.values()])
    return [
        NamedAccuracy(
            name=name,
            **dict(pair) | {"difference": pair.difference.model_copy(update={"p_value": p_value})},
        )
        for (name, pair), p_value in zip(found.items(), p_values, strict=True)
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
