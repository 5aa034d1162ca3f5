"""Test results of a model that names several defects of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
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
from space.inference.core.decision import Costs, Decision, Prediction
from space.inference.multilabel.thresholds import Thresholds, sigmoid
from trainer.decision import temperature
from trainer.decision.temperature import Array
from trainer.decision.thresholds import Flags, missed_share
from trainer.evaluation.metrics.intervals import bounded_mean, grouped_proportion, proportion


@dataclass(frozen=True)
class _Answers:
    """What the model says of each test image, and what the image shows.

    Attributes:
        shown: the classes that the image shows, [image, class].
        named: those that the model names, [image, class].
        possible: those that it does not rule out, [image, class].
        main: index of the class of each image.
        groups: the piece of surface that each image shows.
    """

    shown: Flags
    named: Flags
    possible: Flags
    main: npt.NDArray[np.int64]
    groups: Sequence[int]

    @property
    def others(self) -> Flags:
        """The classes that the image shows beside its own, [image, class]."""
        others = self.shown.copy()
        others[np.arange(len(self.main)), self.main] = False
        return others

    @property
    def exact(self) -> Flags:
        """Whether precisely the shown classes are named, [image]."""
        exact: Flags = (self.named == self.shown).all(axis=1)
        return exact

    def second(self, flags: Flags) -> Score:
        """Return the share of images of several defects where a flag marks one beside the own."""
        hits = np.asarray((flags & self.others).any(axis=1))
        return self.share(hits, np.asarray(self.shown.sum(axis=1) > 1))

    def share(self, hits: Flags, of: Flags | None = None) -> Score:
        """Return the share of hits among all images, or among some, with its interval."""
        rows = np.ones(len(hits), bool) if of is None else of
        return grouped_proportion(hits[rows], np.asarray(self.groups)[rows].tolist())

    def missed(self, thresholds: Thresholds, fitted_groups: int) -> MissedDefects:
        """Return the share of defects that are ruled out, beside what was promised."""
        lost = missed_share(self.possible, self.shown, self.groups)
        return MissedDefects(
            promised=thresholds.max_missed,
            fitted_groups=fitted_groups,
            groups=len(lost),
            share=bounded_mean(lost.tolist()),
            of_all=grouped_proportion(
                ~self.possible[self.shown],
                np.asarray(self.groups)[np.nonzero(self.shown)[0]].tolist(),
            ),
        )

    def mean_cost(self, costs: Costs, automatic: Flags) -> float:
        """Return the mean cost of an image: of its wrong names, or of a person's review."""
        missed = (self.shown & ~self.named).sum(axis=1)
        false_alarms = (self.named & ~self.shown).sum(axis=1)
        paid = costs.missed * missed + costs.false_alarm * false_alarms
        return float(np.where(automatic, paid, costs.review).mean())


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
    answers = _Answers(
        shown=shown,
        named=_flags(rules.labels, [each.defects or () for each in predictions]),
        possible=_flags(rules.labels, [each.candidates for each in predictions]),
        main=main,
        groups=groups,
    )
    probabilities = np.asarray([[*each.probabilities.values()] for each in predictions])
    classes = _classes(rules.labels, thresholds, probabilities, answers)
    one = shown.sum(axis=1) == 1
    unsure, unknown, automatic = (
        np.asarray([each.verdict == verdict for each in predictions])
        for verdict in ("unsure", "unknown", "class")
    )
    return SeveralDefects(
        calibration=Calibration(
            temperature=rules.temperature,
            fitted_on=fitted_on,
            fitted_images=fitted_images,
            before=_agreement(sigmoid(logits), shown),
            after=_agreement(probabilities, shown),
        ),
        classes=classes,
        mean_average_precision=float(
            np.mean([c.average_precision for c in classes if c.average_precision is not None])
        ),
        exact=answers.share(answers.exact),
        one_defect=int(one.sum()),
        one_exact=answers.share(answers.exact, one),
        several=int((shown.sum(axis=1) > 1).sum()),
        second_named=answers.second(answers.named),
        second_possible=answers.second(answers.possible),
        missed=answers.missed(thresholds, fitted_groups),
        cost_missed=rules.costs.missed,
        cost_false_alarm=rules.costs.false_alarm,
        cost_review=rules.costs.review,
        unsure=answers.share(unsure),
        unknown=answers.share(unknown),
        automatic_exact=answers.share(answers.exact, automatic) if automatic.any() else None,
        mean_cost=answers.mean_cost(rules.costs, automatic),
        ood_detection=ood_detection,
    )


def _flags(labels: Sequence[str], names: Sequence[Sequence[str]]) -> Flags:
    return np.asarray([[label in each for label in labels] for each in names])


def _classes(
    labels: Sequence[str], thresholds: Thresholds, probabilities: Array, answers: _Answers
) -> list[DefectClass]:
    classes = []
    for index, label in enumerate(labels):
        own, named = answers.shown[:, index], answers.named[:, index]
        possible = answers.possible[:, index]
        count, hits = int(own.sum()), int((own & named).sum())
        classes.append(
            DefectClass(
                label=label,
                images=count,
                named_from=thresholds.named[index],
                absent_below=thresholds.absent[index],
                precision=proportion(hits, int(named.sum())),
                recall=proportion(hits, count),
                missed=proportion(int((own & ~possible).sum()), count),
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
