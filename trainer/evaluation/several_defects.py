"""Test results of a model that names several defects of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

from model_card.schema.base import Score
from model_card.schema.reliability import (
    Agreement,
    Calibration,
    DefectClass,
    MissedDefects,
    OodDetection,
    ReliabilityBin,
    SeveralDefects,
)
from space.inference.core.arrays import Floats
from space.inference.core.decision import Decision, Prediction
from space.inference.multilabel.thresholds import Thresholds, sigmoid
from trainer.decision import temperature
from trainer.decision.temperature import Array
from trainer.decision.thresholds import Flags, missed_share
from trainer.evaluation.metrics.intervals import bounded_mean, grouped_proportion, proportion


def measure_several(
    decision: Decision,
    predictions: Sequence[Prediction],
    logits: Floats,
    shown: Flags,
    main: npt.NDArray[np.int64],
    groups: Sequence[int],
    *,
    fitted_on: Literal["validation", "other folds"],
    fitted_images: int,
    fitted_groups: int,
    ood_detection: OodDetection | None,
) -> SeveralDefects:
    """Return all measures of the report.

    Args:
        decision: with thresholds.
        predictions: of the test images.
        logits: of the same images, [image, class].
        shown: which classes each image shows, [image, class].
        main: index of the class of each image.
        groups: the piece of surface that each image shows.
        fitted_on: the images that the decision is fitted to.
        fitted_images: images that the decision is fitted to.
        fitted_groups: pieces of surface that they show.
        ood_detection: its results.
    """
    rules, thresholds = decision.rules, decision.rules.thresholds
    if thresholds is None:
        raise ValueError("the decision names one class of each image")
    labels = rules.labels
    named = _flags(labels, [each.defects or () for each in predictions])
    possible = _flags(labels, [each.candidates for each in predictions])
    probabilities = np.asarray([[*each.probabilities.values()] for each in predictions])
    exact: Flags = (named == shown).all(axis=1)
    one, several = shown.sum(axis=1) == 1, shown.sum(axis=1) > 1
    others = shown.copy()
    others[np.arange(len(main)), main] = False
    unsure, unknown, automatic = (
        np.asarray([each.verdict == verdict for each in predictions])
        for verdict in ("unsure", "unknown", "class")
    )
    costs = rules.costs
    paid = costs.missed * (shown & ~named).sum(axis=1) + costs.false_alarm * (named & ~shown).sum(
        axis=1
    )

    def share(hits: npt.ArrayLike, of: Flags | None = None) -> Score:
        hits = np.asarray(hits)
        rows = np.ones(len(hits), bool) if of is None else of
        return grouped_proportion(hits[rows], np.asarray(groups)[rows].tolist())

    classes = _classes(labels, thresholds, probabilities, shown, named, possible)
    precisions = [c.average_precision for c in classes if c.average_precision is not None]
    lost = missed_share(possible, shown, groups)
    return SeveralDefects(
        calibration=Calibration(
            temperature=rules.temperature,
            fitted_on=fitted_on,
            fitted_images=fitted_images,
            before=_agreement(sigmoid(logits), shown),
            after=_agreement(probabilities, shown),
        ),
        classes=classes,
        mean_average_precision=float(np.mean(precisions)),
        exact=share(exact),
        one_defect=int(one.sum()),
        one_exact=share(exact, one),
        several=int(several.sum()),
        second_named=share((named & others).any(axis=1), several),
        second_possible=share((possible & others).any(axis=1), several),
        missed=MissedDefects(
            promised=thresholds.max_missed,
            fitted_groups=fitted_groups,
            groups=len(lost),
            share=bounded_mean(lost.tolist()),
            of_all=grouped_proportion(
                ~possible[shown], np.asarray(groups)[np.nonzero(shown)[0]].tolist()
            ),
        ),
        cost_missed=costs.missed,
        cost_false_alarm=costs.false_alarm,
        cost_review=costs.review,
        unsure=share(unsure),
        unknown=share(unknown),
        automatic_exact=share(exact, automatic) if automatic.any() else None,
        mean_cost=float(np.where(automatic, paid, costs.review).mean()),
        ood_detection=ood_detection,
    )


def _flags(labels: Sequence[str], names: Sequence[Sequence[str]]) -> Flags:
    return np.asarray([[label in each for label in labels] for each in names])


def _classes(
    labels: Sequence[str],
    thresholds: Thresholds,
    probabilities: Array,
    shown: Flags,
    named: Flags,
    possible: Flags,
) -> list[DefectClass]:
    classes = []
    for index, label in enumerate(labels):
        own = shown[:, index]
        count, hits = int(own.sum()), int((own & named[:, index]).sum())
        classes.append(
            DefectClass(
                label=label,
                images=count,
                named_from=thresholds.named[index],
                absent_below=thresholds.absent[index],
                precision=proportion(hits, int(named[:, index].sum())),
                recall=proportion(hits, count),
                missed=proportion(int((own & ~possible[:, index]).sum()), count),
                average_precision=_average_precision(own, probabilities[:, index]),
            )
        )
    return classes


def _average_precision(shown: Flags, probabilities: Array) -> float | None:
    # scikit-learn's sum can exceed 1 by rounding.
    return min(1.0, float(average_precision_score(shown, probabilities))) if shown.any() else None


def _agreement(probabilities: Array, shown: Flags) -> Agreement:
    """Return the agreement of each class of each image, as an answer of yes or no by itself."""
    flat, truth = probabilities.ravel(), shown.ravel()
    confidence, right = np.maximum(flat, 1 - flat), (flat >= 0.5) == truth
    true = np.where(truth, flat, 1 - flat)
    bins: list[Any] = temperature.reliability_bins(confidence, right)
    return Agreement(
        ece=temperature.calibration_error(confidence, right),
        adaptive_ece=temperature.adaptive_calibration_error(confidence, right),
        ece_by_chance=temperature.chance_calibration_error(confidence),
        # Over both answers, as for several classes.
        brier=float(2 * np.mean((1 - true) ** 2)),
        negative_log_likelihood=float(-np.log(np.maximum(true, np.finfo(np.float64).tiny)).mean()),
        bins=[ReliabilityBin(**asdict(each)) for each in bins],
    )
