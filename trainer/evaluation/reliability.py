"""Reliability of a decision on test images: calibration, sets, OOD detection, operating point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.metrics import brier_score_loss

from model_card.schema.base import Score
from model_card.schema.reliability import (
    Agreement,
    Calibration,
    ClassSets,
    LeftOut,
    OodDetection,
    OodKind,
    OperatingPoint,
    PredictionSets,
    Reliability,
    ReliabilityBin,
    RiskCoverage,
    Spread,
)
from space.inference.core.arrays import Floats
from space.inference.core.decision import Decision, Prediction
from trainer.config.groups import DecisionConfig
from trainer.decision import temperature
from trainer.decision.outputs import HeldOutOutputs
from trainer.decision.temperature import Array, Labels
from trainer.evaluation import rejection
from trainer.evaluation.metrics.intervals import proportion


@dataclass(frozen=True)
class TestOutcomes:
    """Test images and the results of a decision on them; novelty is relative to the limit."""

    truth: Labels
    raw: Array
    probabilities: Array
    candidates: npt.NDArray[np.bool_]
    verdicts: npt.NDArray[np.str_]
    novelty: Array
    ood: Mapping[str, Array]
    left_out: Mapping[str, tuple[Array, Array]]


def apply_decision(
    decision: Decision, outputs: HeldOutOutputs
) -> tuple[list[Prediction], TestOutcomes]:
    """Apply a decision to the test images, with the code that serves it."""
    labels = decision.rules.labels
    limit = decision.rules.novelty_limit
    predictions = decision.conclude(outputs.logits, outputs.novelty)
    return predictions, TestOutcomes(
        truth=outputs.truth,
        raw=softmax(outputs.logits.astype(np.float64), axis=1),
        probabilities=np.asarray([list(p.probabilities.values()) for p in predictions]),
        candidates=np.asarray([_held(labels, set(p.candidates)) for p in predictions]),
        verdicts=np.asarray([p.verdict for p in predictions]),
        novelty=np.asarray([p.novelty for p in predictions if p.novelty is not None]),
        ood={k: _relative(v, limit) for k, v in outputs.ood.items()} if limit else {},
        left_out={
            k: (_relative(a, limit), _relative(b, limit)) for k, (a, b) in outputs.left_out.items()
        }
        if limit
        else {},
    )


def _relative(novelty: Floats, limit: float) -> Array:
    relative: Array = novelty.astype(np.float64) / limit
    return relative


def _held(labels: Sequence[str], candidates: Set[str]) -> list[bool]:
    return [name in candidates for name in labels]


def join(folds: Sequence[TestOutcomes]) -> TestOutcomes:
    """Concatenate the folds of a cross-validation."""
    first = folds[0]

    def joined(name: str) -> Any:
        return np.concatenate([getattr(fold, name) for fold in folds])

    arrays = ("truth", "raw", "probabilities", "candidates", "verdicts", "novelty")
    # A fold with too few images has no limit: then the folds have no common result.
    all_reject = all(fold.ood for fold in folds)
    return TestOutcomes(
        **{name: joined(name) for name in arrays},
        ood={
            kind: np.concatenate([fold.ood[kind] for fold in folds])
            for kind in (first.ood if all_reject else ())
        },
        left_out={
            label: (
                np.concatenate([fold.left_out[label][0] for fold in folds]),
                np.concatenate([fold.left_out[label][1] for fold in folds]),
            )
            for label in (first.left_out if all_reject else ())
        },
    )


def measure(
    decision: Decision,
    outcomes: TestOutcomes,
    config: DecisionConfig,
    *,
    fitted_on: Literal["validation", "other folds"],
    fitted_images: int,
    reference_images: int,
    network_saw_left_out: bool,
) -> Reliability:
    """Return all measures of the report.

    Args:
        decision: whose rules are reported; with several folds, the published one.
        outcomes: of the test images.
        config: the settings of the decision.
        fitted_on: the images that temperature and sets are fitted to.
        fitted_images: their number.
        reference_images: number of images that the novelty limit is fitted to.
        network_saw_left_out: whether the network was trained on the classes left out.
    """
    rules = decision.rules
    return Reliability(
        calibration=Calibration(
            temperature=rules.temperature,
            fitted_on=fitted_on,
            fitted_images=fitted_images,
            before=_agreement(outcomes.raw, outcomes.truth),
            after=_agreement(outcomes.probabilities, outcomes.truth),
        ),
        sets=_sets(decision, outcomes),
        ood_detection=measure_ood_detection(
            decision, outcomes, config, reference_images, network_saw_left_out
        ),
        operating_point=_operating_point(decision, outcomes),
    )


def _agreement(probabilities: Array, truth: Labels) -> Agreement:
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = temperature.reliability_bins(confidence, right)
    return Agreement(
        ece=temperature.calibration_error(confidence, right),
        adaptive_ece=temperature.adaptive_calibration_error(confidence, right),
        ece_by_chance=temperature.chance_calibration_error(confidence),
        brier=brier_score_loss(
            truth, probabilities, labels=range(probabilities.shape[1]), scale_by_half=False
        ),
        negative_log_likelihood=temperature.negative_log_likelihood(probabilities, truth),
        bins=[ReliabilityBin(**asdict(b)) for b in bins],
    )


def _sets(decision: Decision, outcomes: TestOutcomes) -> PredictionSets:
    held = outcomes.candidates[np.arange(len(outcomes.truth)), outcomes.truth]
    sizes = outcomes.candidates.sum(axis=1)
    classes = []
    for index, label in enumerate(decision.rules.labels):
        own = outcomes.truth == index
        classes.append(
            ClassSets(
                label=label,
                images=int(own.sum()),
                coverage=_share(held[own]),
                mean_size=float(sizes[own].mean()),
            )
        )
    return PredictionSets(
        target=decision.rules.coverage,
        least_probability=decision.rules.least_probability,
        coverage=_share(held),
        mean_size=float(sizes.mean()),
        classes=classes,
    )


def measure_ood_detection(
    decision: Decision,
    outcomes: TestOutcomes,
    config: DecisionConfig,
    reference_images: int,
    network_saw_left_out: bool,
) -> OodDetection | None:
    """Return how OOD images are detected; None without a detector. See `measure`."""
    limit = decision.rules.novelty_limit
    if decision.detector is None or limit is None or not outcomes.ood:
        return None
    reference = outcomes.novelty
    return OodDetection(
        stages=list(decision.detector.stages),
        limit=limit,
        allowed=config.max_rejected,
        reference_images=reference_images,
        test_rejected=_share(reference > 1),
        reference_novelty=_spread(reference),
        kinds=[
            OodKind(
                kind=kind,
                images=len(novelty),
                auroc=rejection.detection_auroc(reference, novelty),
                false_positive_rate=rejection.false_positive_rate(reference, novelty),
                rejected=_share(novelty > 1),
                novelty=_spread(novelty),
            )
            for kind, novelty in outcomes.ood.items()
        ],
        left_out=[
            LeftOut(
                label=label,
                images=len(unknown),
                auroc=rejection.detection_auroc(others, unknown),
                false_positive_rate=rejection.false_positive_rate(others, unknown),
            )
            for label, (others, unknown) in outcomes.left_out.items()
        ],
        network_saw_left_out=network_saw_left_out,
    )


def _operating_point(decision: Decision, outcomes: TestOutcomes) -> OperatingPoint:
    costs = decision.rules.costs
    predicted = outcomes.probabilities.argmax(axis=1)
    right = predicted == outcomes.truth
    paid = costs.matrix(decision.rules.labels)[outcomes.truth, predicted]
    automatic = outcomes.verdicts == "class"
    coverage, risk = rejection.risk_coverage(outcomes.probabilities.max(axis=1), right)
    limit = rejection.confidence_limit(costs.missed, costs.false_alarm, costs.review)
    return OperatingPoint(
        cost_missed=costs.missed,
        cost_false_alarm=costs.false_alarm,
        cost_review=costs.review,
        no_defect=costs.no_defect,
        confidence_limit=limit if costs.no_defect is None else None,
        unsure=_share(outcomes.verdicts == "unsure"),
        unknown=_share(outcomes.verdicts == "unknown"),
        automatic_accuracy=_share(right[automatic]) if automatic.any() else None,
        # Images with the verdict unknown are reviewed by a person, too.
        mean_cost=float(np.where(automatic, paid, costs.review).mean()),
        mean_cost_automatic=float(paid.mean()),
        mean_cost_manual=costs.review,
        curve=RiskCoverage(
            coverage=coverage.tolist(),
            risk=risk.tolist(),
            area=rejection.area_under_risk(coverage, risk),
        ),
    )


def _spread(novelty: Array) -> Spread:
    percentiles = (5, 25, 50, 75, 95)
    values = np.percentile(novelty, percentiles).tolist()
    return Spread(**{f"p{p}": value for p, value in zip(percentiles, values, strict=True)})


def _share(hits: npt.NDArray[np.bool_]) -> Score:
    return proportion(int(hits.sum()), len(hits))
