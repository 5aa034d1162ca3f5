"""Measure on test images what a decision is worth: the facts of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from model_card.schema.base import Score
from model_card.schema.reliability import (
    Agreement,
    Calibration,
    ClassSets,
    ForeignKind,
    LeftOut,
    OperatingPoint,
    PredictionSets,
    ReliabilityBin,
    RiskCoverage,
    Spread,
    Trust,
    UnknownSurfaces,
)
from space.inference.decision import Decision, Prediction
from trainer.config.settings import DecisionConfig
from trainer.decision import temperature
from trainer.decision.outputs import Evidence
from trainer.decision.temperature import Array, Labels
from trainer.evaluation import rejection
from trainer.evaluation.metrics.intervals import proportion


@dataclass(frozen=True)
class Judged:
    """Test images and what a decision said of them; strangeness is relative to the limit."""

    truth: Labels
    raw: Array
    probabilities: Array
    candidates: npt.NDArray[np.bool_]
    verdicts: npt.NDArray[np.str_]
    strangeness: Array
    foreign: Mapping[str, Array]
    left_out: Mapping[str, tuple[Array, Array]]


def judge(decision: Decision, evidence: Evidence) -> tuple[list[Prediction], Judged]:
    """Apply a decision to the test images, by the code that serves it."""
    labels = decision.rules.labels
    limit = decision.rules.strangeness_limit
    predictions = decision.conclude(evidence.logits, evidence.strangeness)
    return predictions, Judged(
        truth=evidence.truth,
        raw=softmax(evidence.logits.double().numpy(), axis=1),
        probabilities=np.asarray([list(p.probabilities.values()) for p in predictions]),
        candidates=np.asarray([_held(labels, set(p.candidates)) for p in predictions]),
        verdicts=np.asarray([p.verdict for p in predictions]),
        strangeness=np.asarray([p.strangeness for p in predictions if p.strangeness is not None]),
        foreign={k: v / limit for k, v in evidence.foreign.items()} if limit else {},
        left_out={k: (a / limit, b / limit) for k, (a, b) in evidence.left_out.items()}
        if limit
        else {},
    )


def _held(labels: Sequence[str], candidates: Set[str]) -> list[bool]:
    return [name in candidates for name in labels]


def join(parts: Sequence[Judged]) -> Judged:
    """Put the folds of a cross-validation together."""
    first = parts[0]

    def joined(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    arrays = ("truth", "raw", "probabilities", "candidates", "verdicts", "strangeness")
    # A fold with too few images rejects none: then nothing can be said of all folds together.
    all_reject = all(part.foreign for part in parts)
    return Judged(
        **{name: joined(name) for name in arrays},
        foreign={
            kind: np.concatenate([part.foreign[kind] for part in parts])
            for kind in (first.foreign if all_reject else ())
        },
        left_out={
            label: (
                np.concatenate([part.left_out[label][0] for part in parts]),
                np.concatenate([part.left_out[label][1] for part in parts]),
            )
            for label in (first.left_out if all_reject else ())
        },
    )


def measure(
    decision: Decision,
    judged: Judged,
    config: DecisionConfig,
    *,
    fitted_on: Literal["validation", "other folds"],
    fitted_images: int,
    known_images: int,
    network_saw_left_out: bool,
) -> Trust:
    """Return all facts.

    Args:
        decision: its rules are told; of several folds, the published one's.
        judged: the test images.
        config: what was asked for.
        fitted_on: which images temperature and sets follow from.
        fitted_images: how many.
        known_images: how many the limit of strangeness follows from.
        network_saw_left_out: whether the classes left out were part of the network's training.
    """
    rules = decision.rules
    return Trust(
        calibration=Calibration(
            temperature=rules.temperature,
            fitted_on=fitted_on,
            fitted_images=fitted_images,
            before=_agreement(judged.raw, judged.truth),
            after=_agreement(judged.probabilities, judged.truth),
        ),
        sets=_sets(decision, judged),
        unknown_surfaces=_unknown(decision, judged, config, known_images, network_saw_left_out),
        operating_point=_operating_point(decision, judged),
    )


def _agreement(probabilities: Array, truth: Labels) -> Agreement:
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = temperature.reliability_bins(confidence, right)
    return Agreement(
        ece=temperature.calibration_error(confidence, right),
        adaptive_ece=temperature.adaptive_calibration_error(confidence, right),
        ece_by_chance=temperature.chance_calibration_error(confidence),
        brier=temperature.brier_score(probabilities, truth),
        negative_log_likelihood=temperature.negative_log_likelihood(probabilities, truth),
        bins=[ReliabilityBin(**asdict(b)) for b in bins],
    )


def _sets(decision: Decision, judged: Judged) -> PredictionSets:
    held = judged.candidates[np.arange(len(judged.truth)), judged.truth]
    sizes = judged.candidates.sum(axis=1)
    classes = []
    for index, label in enumerate(decision.rules.labels):
        own = judged.truth == index
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


def _unknown(
    decision: Decision,
    judged: Judged,
    config: DecisionConfig,
    known_images: int,
    network_saw_left_out: bool,
) -> UnknownSurfaces | None:
    limit = decision.rules.strangeness_limit
    if decision.textures is None or limit is None or not judged.foreign:
        return None
    known = judged.strangeness
    return UnknownSurfaces(
        stages=list(decision.textures.stages),
        limit=limit,
        allowed=config.max_rejected,
        known_images=known_images,
        known_rejected=_share(known > 1),
        known_strangeness=_spread(known),
        foreign=[
            ForeignKind(
                kind=kind,
                images=len(strange),
                auroc=rejection.detection_auroc(known, strange),
                false_positive_rate=rejection.false_positive_rate(known, strange),
                rejected=_share(strange > 1),
                strangeness=_spread(strange),
            )
            for kind, strange in judged.foreign.items()
        ],
        left_out=[
            LeftOut(
                label=label,
                images=len(unknown),
                auroc=rejection.detection_auroc(others, unknown),
                false_positive_rate=rejection.false_positive_rate(others, unknown),
            )
            for label, (others, unknown) in judged.left_out.items()
        ],
        network_saw_left_out=network_saw_left_out,
    )


def _operating_point(decision: Decision, judged: Judged) -> OperatingPoint:
    costs = decision.rules.costs
    named = judged.probabilities.argmax(axis=1)
    right = named == judged.truth
    paid = costs.matrix(decision.rules.labels).numpy()[judged.truth, named]
    automatic = judged.verdicts == "class"
    coverage, risk = rejection.risk_coverage(judged.probabilities.max(axis=1), right)
    limit = rejection.confidence_limit(costs.missed, costs.false_alarm, costs.look)
    return OperatingPoint(
        cost_missed=costs.missed,
        cost_false_alarm=costs.false_alarm,
        cost_look=costs.look,
        no_defect=costs.no_defect,
        confidence_limit=limit if costs.no_defect is None else None,
        unsure=_share(judged.verdicts == "unsure"),
        unknown=_share(judged.verdicts == "unknown"),
        automatic_right=_share(right[automatic]) if automatic.any() else None,
        # What is called unknown goes to a person, too.
        mean_cost=float(np.where(automatic, paid, costs.look).mean()),
        mean_cost_automatic=float(paid.mean()),
        mean_cost_manual=costs.look,
        curve=RiskCoverage(
            coverage=coverage.tolist(),
            risk=risk.tolist(),
            area=rejection.area_under_risk(coverage, risk),
        ),
    )


def _spread(strangeness: Array) -> Spread:
    percentiles = (5, 25, 50, 75, 95)
    values = np.percentile(strangeness, percentiles).tolist()
    return Spread(**{f"p{p}": value for p, value in zip(percentiles, values, strict=True)})


def _share(hits: npt.NDArray[np.bool_]) -> Score:
    return Score(**asdict(proportion(int(hits.sum()), len(hits))))
