"""Judge each fold of a cross-validation by rules that follow from the other folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_card.schema.reliability import Trust
from space.inference.decision import Decision, Prediction
from trainer.config.run_folder import PUBLISHED_DIR
from trainer.config.settings import DecisionConfig, TrainConfig
from trainer.decision.outputs import Evidence
from trainer.decision.rules import set_rules
from trainer.evaluation.reliability import Judged, join, judge, measure


@dataclass(frozen=True)
class JudgedFold:
    """A fold's new decision, what it says of the test images, and how many rules follow from."""

    decision: Decision
    predictions: list[Prediction]
    judged: Judged
    others: int


def judge_folds(
    fold_dirs: Sequence[Path], labels: list[str], config: DecisionConfig
) -> list[JudgedFold]:
    """Return all folds, in order.

    Raises:
        DataError: a fold's evidence is damaged or missing.
    """
    evidence = [Evidence.load(fold_dir) for fold_dir in fold_dirs]
    published = [Decision.read(fold_dir / PUBLISHED_DIR, labels) for fold_dir in fold_dirs]
    decisions = [decision for decision in published if decision is not None]
    relative = [
        _relative(decision, found) for decision, found in zip(decisions, evidence, strict=True)
    ]
    folds = []
    for index, (decision, found) in enumerate(zip(decisions, evidence, strict=True)):
        others = [other for place, other in enumerate(evidence) if place != index]
        strange = [other for place, other in enumerate(relative) if place != index]
        limit = decision.rules.strangeness_limit or 1.0
        anew = set_rules(
            labels,
            np.concatenate([other.logits.double().numpy() for other in others]),
            np.concatenate([other.truth for other in others]),
            decision.textures,
            # The other folds measure in units of their own limits.
            np.concatenate(strange) * limit,
            config,
        )
        predictions, judged = judge(anew, found)
        folds.append(JudgedFold(anew, predictions, judged, sum(len(o.truth) for o in others)))
    return folds


def _relative(decision: Decision, evidence: Evidence) -> np.ndarray:
    """Return how strange a fold's test images are, in units of its own limit."""
    limit = decision.rules.strangeness_limit
    if evidence.strangeness is None or limit is None:
        return np.zeros(0)
    return evidence.strangeness.double().numpy() / limit


def measure_folds(folds: Sequence[JudgedFold], config: TrainConfig) -> Trust:
    """Return the facts of some folds together; the rules told are those of the first."""
    return measure(
        folds[0].decision,
        join([fold.judged for fold in folds]),
        config.decision,
        fitted_on="other folds",
        fitted_images=folds[0].others,
        known_images=folds[0].others,
        network_saw_left_out=config.model.tune == "all",
    )
