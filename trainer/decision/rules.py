"""Fit the rules of a decision: temperature, set threshold, costs, novelty limit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.special import softmax

from space.inference.core.decision import Costs, Decision, Rules
from space.inference.core.novelty import MahalanobisDetector
from space.inference.multilabel.thresholds import sigmoid
from trainer.config.groups import DecisionConfig
from trainer.decision.conformal import conformal_quantile, least_probability
from trainer.decision.temperature import (
    Array,
    Labels,
    fit_sigmoid_temperature,
    fit_temperature,
)
from trainer.decision.thresholds import Flags, fit_thresholds
from trainer.errors import ConfigError


def check_no_defect(config: DecisionConfig, labels: Sequence[str]) -> None:
    """Check that the class without defect is one of the classes.

    Raises:
        ConfigError: it is not.
    """
    if config.no_defect is not None and config.no_defect not in labels:
        raise ConfigError(
            f"--no-defect {config.no_defect}: there is no such class. The classes are "
            f"{', '.join(labels)}."
        )


def fit_rules(
    labels: Sequence[str],
    logits: Array,
    truth: Labels,
    detector: MahalanobisDetector | None,
    reference_novelty: Array,
    config: DecisionConfig,
) -> Decision:
    """Fit a decision to images that the network was not trained on.

    Args:
        labels: class names, in the order of the outputs.
        logits: of the images, [image, class].
        truth: class index of each image.
        detector: the novelty detector, if the network has one.
        reference_novelty: scores of the reference images.
        config: coverage, costs and the share of reference images that may be rejected.
    """
    temperature = fit_temperature(logits, truth)
    probabilities = softmax(logits / temperature, axis=1)
    rules = Rules(
        labels=list(labels),
        temperature=temperature,
        coverage=config.coverage,
        least_probability=least_probability(probabilities, truth, config.coverage),
        costs=_costs(config),
        novelty_limit=_novelty_limit(detector, reference_novelty, config),
    )
    return Decision(rules, detector if rules.novelty_limit else None)


def fit_multi_label_rules(
    labels: Sequence[str],
    logits: Array,
    shown: Flags,
    groups: Sequence[int],
    detector: MahalanobisDetector | None,
    reference_novelty: Array,
    config: DecisionConfig,
) -> Decision:
    """Fit a decision that names several classes of an image.

    Args:
        labels: class names, in the order of the outputs.
        logits: of images that the network was not trained on, [image, class].
        shown: which classes each image shows, [image, class].
        groups: the piece of surface that each image shows.
        detector: the novelty detector, if the network has one.
        reference_novelty: scores of the reference images.
        config: costs, and the shares of defects to miss and of images to reject.
    """
    temperature, costs = fit_sigmoid_temperature(logits, shown), _costs(config)
    probabilities = sigmoid(logits / temperature)
    thresholds = fit_thresholds(probabilities, shown, groups, costs, config.max_missed)
    rules = Rules(
        labels=list(labels),
        temperature=temperature,
        coverage=1 - config.max_missed,
        least_probability=min(thresholds.absent),
        costs=costs,
        novelty_limit=_novelty_limit(detector, reference_novelty, config),
        thresholds=thresholds,
    )
    return Decision(rules, detector if rules.novelty_limit else None)


def _costs(config: DecisionConfig) -> Costs:
    missed, false_alarm, review = config.costs
    return Costs(missed=missed, false_alarm=false_alarm, review=review, no_defect=config.no_defect)


def _novelty_limit(
    detector: MahalanobisDetector | None, reference_novelty: Array, config: DecisionConfig
) -> float | None:
    # With too few reference images no limit can guarantee this share, and none is set.
    limit = conformal_quantile(reference_novelty, config.max_rejected)
    return limit if math.isfinite(limit) and detector else None
