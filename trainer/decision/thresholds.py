"""Fit the thresholds of a model that names several defects: by cost, then by risk control.

Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster, ICLR 2024,
https://arxiv.org/abs/2208.02814): let the loss of a piece of surface be the share of its defects
that a threshold rules out. It lies between 0 and 1 and never falls as the threshold rises. If n
pieces have a mean loss of R at a threshold, and n / (n + 1) · R + 1 / (n + 1) is at most α, then
the expected loss of a further piece is at most α, for any network, provided that the pieces are
exchangeable. Images of one piece are not exchangeable with those of others; pieces are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from space.inference.core.decision import Costs
from space.inference.multilabel.thresholds import Thresholds
from trainer.decision.temperature import Array

Flags = npt.NDArray[np.bool_]

# How often an image counts as what its calibrated probability says, beside once as what it shows:
# a single surprising image must not move the threshold of a class.
PRIOR_WEIGHT = 2


def fit_thresholds(
    probabilities: Array, shown: Flags, groups: npt.ArrayLike, costs: Costs, max_missed: float
) -> Thresholds:
    """Fit both thresholds of each class to images that the network was not trained on.

    By cost: a class is named where that costs no more than a review, and ruled out where a miss
    costs no more than one. The threshold of naming is that of the lowest cost on the images. The
    threshold of ruling out is the same for all classes, since fitting one for each would break the
    promise; risk control lowers it if need be.

    Args:
        probabilities: [image, class].
        shown: which classes each image shows, [image, class].
        groups: the piece of surface that each image shows.
        costs: of a miss, a false alarm and a review.
        max_missed: largest share of defects to rule out, on average over pieces of surface.
    """
    name_from, rule_out_below = cost_limits(costs)
    named = [
        cost_threshold(probabilities[:, label], shown[:, label], name_from)
        for label in range(probabilities.shape[1])
    ]
    highest = controlled_threshold(probabilities, shown, groups, max_missed)
    below = rule_out_below if highest is None else min(rule_out_below, highest)
    return Thresholds(
        named=named,
        absent=[min(below, own) for own in named],
        max_missed=None if highest is None else max_missed,
    )


def cost_limits(costs: Costs) -> tuple[float, float]:
    """Return the probability from which on a class is named, and below which it is ruled out.

    Naming a class of probability p costs (1 - p) false alarms, ruling it out p misses; a person
    who reviews it costs the same for each p. Each of the three is best in one interval.
    """
    errors = costs.missed + costs.false_alarm
    even = costs.false_alarm / errors if errors else 0.5
    name_from, rule_out_below = even, even
    if costs.false_alarm > 0:
        name_from = max(even, 1 - costs.review / costs.false_alarm)
    if costs.missed > 0:
        rule_out_below = min(even, costs.review / costs.missed)
    return name_from, rule_out_below


def cost_threshold(probabilities: Array, shown: Flags, limit: float) -> float:
    """Return the threshold of a class with the lowest cost of errors, of equal ones the nearest.

    What an image shows is weighed against its probability; see `PRIOR_WEIGHT`.

    Args:
        probabilities: of the class, [image].
        shown: whether the images show it, [image].
        limit: the best threshold for calibrated probabilities. An image above the threshold that
            does not show the class costs `limit`, one below it that does costs 1 - `limit`.
    """
    values = np.unique(probabilities)
    ends = [limit, values[0] / 2, (values[-1] + 1) / 2]
    candidates = np.concatenate([ends, (values[1:] + values[:-1]) / 2])
    likely = (shown + PRIOR_WEIGHT * probabilities) / (1 + PRIOR_WEIGHT)
    reported = probabilities[None, :] >= candidates[:, None]
    cost = limit * (reported @ (1 - likely)) + (1 - limit) * (~reported @ likely)
    # Sums that differ by rounding alone are equal.
    best = np.flatnonzero(cost <= cost.min() + 1e-9)
    nearest = best[np.argmin(np.abs(candidates[best] - limit))]
    return float(candidates[nearest])


def controlled_threshold(
    probabilities: Array, shown: Flags, groups: npt.ArrayLike, max_missed: float
) -> float | None:
    """Return the highest threshold that risk control allows; None if there are too few groups.

    Args:
        probabilities: [image, class].
        shown: which classes each image shows, [image, class].
        groups: the piece of surface that each image shows.
        max_missed: α, the bound on the expected share.
    """
    image, label = np.nonzero(shown)
    members = np.unique(np.asarray(groups)[image], return_inverse=True)[1]
    sizes = np.bincount(members)
    count = len(sizes)
    order = np.argsort(probabilities[image, label], kind="stable")
    values = probabilities[image, label][order]
    # The mean loss if this defect and all of a lower probability are ruled out.
    risk = np.cumsum((1 / sizes)[members[order]]) / count
    missed = int(((count * risk + 1) / (count + 1) <= max_missed + 1e-12).sum())
    if not missed and 1 / (count + 1) > max_missed:
        return None
    return float(values[missed]) if missed < len(values) else 1.0


def missed_share(candidates: Flags, shown: Flags, groups: npt.ArrayLike) -> Array:
    """Return the loss of each group: the share of its defects that are not candidates.

    Args:
        candidates: classes that are not ruled out, [image, class].
        shown: which classes each image shows, [image, class].
        groups: the piece of surface that each image shows; one without defects has no loss.
    """
    members = np.unique(np.asarray(groups), return_inverse=True)[1]
    defects = np.bincount(members, shown.sum(axis=1))
    missed = np.bincount(members, (shown & ~candidates).sum(axis=1))
    share: Array = missed[defects > 0] / defects[defects > 0]
    return share
