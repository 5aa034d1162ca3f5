"""Measure learning curves: heads on nested subsets, tested on a fold of other surfaces.

One curve is one fold of one repetition. Each finished curve is a file, so that a stopped
measurement resumes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from model_card.schema.base import Schema
from model_card.schema.checksums import seal, unseal
from trainer.data.splits.pieces import Ints
from trainer.data_needs.heads import Choice, choose, fit_head
from trainer.data_needs.power_law import Array
from trainer.data_needs.subsets import collection_order, subset
from trainer.errors import ConfigError, DataError
from trainer.monitoring.progress import duration
from trainer.runtime.files import disk_errors_explained, replaced_whole

logger = logging.getLogger(__name__)

CURVES_DIR = "curves"


@dataclass(frozen=True)
class Features:
    """The images as a frozen network sees them.

    Attributes:
        values: [image, feature].
        labels: class of each image.
        groups: piece of surface of each image.
        names: of the classes.
    """

    values: Array
    labels: Ints
    groups: Ints
    names: list[str]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        counts: images of each class, ascending; the last one is what the smallest class has.
        class_counts: for each class, its images with all images of the other classes.
        folds: test rows of each fold, for each repetition.
        seed: of the subsets.
        digest: fingerprint of images, network and settings.
    """

    counts: list[int]
    class_counts: list[list[int]]
    folds: list[list[Ints]]
    seed: int
    digest: str

    @property
    def heads(self) -> int:
        """Number of heads of one curve, without those of the inner cross-validation."""
        return len(self.counts) + 1 + sum(len(counts) - 1 for counts in self.class_counts)


class Curve(Schema):
    """The results of one curve, as saved.

    The test images are the rows of its fold. A mistake is 1, a correct answer 0.
    """

    digest: str
    mistakes: list[list[int]]
    """With each number of images of every class, [count][image]."""
    class_mistakes: list[list[list[int]]]
    """With each number of images of one class and all of the others, [class][count][image]."""
    set_sizes: list[float]
    """Mean number of classes in a prediction set, with each number of images of every class."""


def measure(features: Features, plan: Plan, folder: Path) -> list[list[Curve]]:
    """Return the curves, [repetition][fold]; those in `folder` are not measured again.

    Raises:
        ConfigError: `folder` holds curves of other images or settings.
        DataError: a saved curve is damaged, or the folder can't be written.
    """
    place = folder / CURVES_DIR
    found = [
        [_saved(_file(place, repeat, fold), plan.digest) for fold in range(len(folds))]
        for repeat, folds in enumerate(plan.folds)
    ]
    total, number = sum(map(len, found)), count(1)
    done = sum(curve is not None for curves in found for curve in curves)
    if done:
        logger.info("Resumed: %d of %d curves are measured already.", done, total)
    place.mkdir(parents=True, exist_ok=True)
    started, measured = time.monotonic(), 0
    curves: list[list[Curve]] = []
    with tqdm(total=total * plan.heads, desc="heads", leave=False, disable=None) as bar:
        for repeat, folds in enumerate(plan.folds):
            curves.append([])
            for fold, test in enumerate(folds):
                curve, current = found[repeat][fold], next(number)
                if curve is None:
                    curve = measure_curve(features, plan, test, (repeat, fold), bar.update)
                    _write(curve, _file(place, repeat, fold))
                    measured += 1
                    left = (time.monotonic() - started) / measured * (total - done - measured)
                    logger.info(
                        "curve %d/%d  error %s %%  %s left",
                        current,
                        total,
                        " → ".join(f"{100 * np.mean(each):.1f}" for each in curve.mistakes),
                        duration(left),
                    )
                else:
                    bar.update(plan.heads)
                curves[-1].append(curve)
    return curves


def measure_curve(
    features: Features,
    plan: Plan,
    test: Ints,
    place: tuple[int, int],
    advance: Callable[[int], object],
) -> Curve:
    """Measure one curve.

    Args:
        features: of all images.
        plan: the subsets.
        test: the rows to test; no other row shares surface with them.
        place: number of the repetition and of the fold, for the random order.
        advance: called with the number of heads that were fitted.
    """
    pool = np.setdiff1d(np.arange(len(features.labels)), test)
    seed = int(np.random.SeedSequence([plan.seed, *place]).generate_state(1)[0])
    orders = [
        pool[rows] for rows in collection_order(features.labels[pool], features.groups[pool], seed)
    ]
    trial = _Trial(features, test, seed, advance)
    mistakes, set_sizes = [], []
    for images in plan.counts:
        rows = subset(orders, [images] * len(orders))
        chosen = trial.chosen(rows)
        head = trial.head(rows, chosen.strength)
        mistakes.append(trial.mistakes(head))
        set_sizes.append(trial.set_size(head, chosen.threshold))
    # Larger than the largest subset of every class, if the classes differ in size.
    all_rows = subset(orders, [len(rows) for rows in orders])
    if len(all_rows) != len(rows):
        chosen = trial.chosen(all_rows)
    everything = trial.mistakes(trial.head(all_rows, chosen.strength))
    class_mistakes = [
        [
            trial.mistakes(trial.head(subset(orders, _counts(orders, label, n)), chosen.strength))
            for n in counts[:-1]
        ]
        + [everything]
        for label, counts in enumerate(plan.class_counts)
    ]
    return Curve(
        digest=plan.digest,
        mistakes=mistakes,
        class_mistakes=class_mistakes,
        set_sizes=set_sizes,
    )


@dataclass(frozen=True)
class _Trial:
    """Heads that are fitted to some rows and tested on others.

    Attributes:
        features: of all images.
        test: the rows to test.
        seed: of the choice.
        advance: called with the number of heads that were fitted.
    """

    features: Features
    test: Ints
    seed: int
    advance: Callable[[int], object]

    def chosen(self, rows: Ints) -> Choice:
        """Choose the strength of a head and the threshold of its sets by these rows alone."""
        labels, groups = self.features.labels[rows], self.features.groups[rows]
        classes = len(self.features.names)
        return choose(self.features.values[rows], labels, groups, classes, self.seed)

    def head(self, rows: Ints, strength: float) -> Pipeline:
        """Fit a head to these rows."""
        head = fit_head(self.features.values[rows], self.features.labels[rows], strength)
        self.advance(1)
        return head

    def mistakes(self, head: Pipeline) -> list[int]:
        """Return for each row of the test whether the head is wrong: 1 or 0."""
        wrong = head.predict(self.features.values[self.test]) != self.features.labels[self.test]
        found: list[int] = wrong.astype(int).tolist()
        return found

    def set_size(self, head: Pipeline, threshold: float) -> float:
        """Return the mean number of classes in the prediction sets of the test."""
        sets = head.predict_proba(self.features.values[self.test]) >= threshold
        return float(sets.sum(axis=1).mean())


def _counts(orders: Sequence[Ints], label: int, images: int) -> list[int]:
    """Return so many images of one class, and all of the others."""
    return [images if other == label else len(rows) for other, rows in enumerate(orders)]


def _file(folder: Path, repeat: int, fold: int) -> Path:
    return folder / f"repeat-{repeat + 1}-fold-{fold + 1}.json"


def _saved(file: Path, digest: str) -> Curve | None:
    if not file.exists():
        return None
    try:
        curve = Curve.model_validate(unseal(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file}, a measured curve, is damaged. Remove it; it is measured again."
        ) from error
    if curve.digest != digest:
        raise ConfigError(
            f"{file.parent.parent} holds curves of other images, another network or other "
            "settings. Name another folder with --output-dir, or remove that one."
        )
    return curve


def _write(curve: Curve, file: Path) -> None:
    with (
        disk_errors_explained(file.parent, "Or name another folder with --output-dir."),
        replaced_whole(file) as partial,
    ):
        partial.write_text(seal(curve.model_dump_json()) + "\n", encoding="utf-8")
