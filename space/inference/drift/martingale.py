"""A test of drift that may be looked at after each image: conformal test martingales.

Each new image gets a conformal p-value: its rank among the reference images and all earlier images
of the same predicted class, ties broken at random. As long as the images of each class come in an
exchangeable order, these p-values are independent and uniform, and a gambler who bets against that
can't expect to win: the probability that the capital ever reaches 1/α is at most α (Ville 1939).
So 1 / (largest capital so far) is a p-value that holds at every look. With several scores, a
gambler bets on each, and the mean of their capitals has the same property.

Vovk, Nouretdinov and Gammerman, "Testing exchangeability on-line" (ICML 2003); Vovk et al.,
"Retrain or not retrain: conformal test martingales for change-point detection" (2021,
arXiv:2102.10439), whose Simple Jumper moves capital between bets, here the power bets ε p^(ε - 1)
of the former. By class ("Mondrian"), so that another mix of classes alone is no drift.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from ..core.arrays import Floats

# Exponents of the bets; 1 keeps the capital.
BETS = np.array([1.0, 0.7, 0.4, 0.2])
# Share of the capital that is spread over all bets before each image.
JUMP = 0.01
DECIMALS = 6


class Martingale:
    """The mean capital of gamblers who bet that p-values are too small.

    Args:
        gamblers: one for each score.
    """

    def __init__(self, gamblers: int) -> None:
        self._shares = np.full((gamblers, len(BETS)), 1 / len(BETS))
        self._log_capitals = np.zeros(gamblers)
        self.largest_log = 0.0

    def bet(self, p_values: Floats) -> None:
        """Bet on the p-values of one image, [gambler]; at NaN the gambler does not bet."""
        betting = ~np.isnan(p_values)
        shares, p_values = self._shares[betting], p_values[betting, None]
        spread = (1 - JUMP) * shares + JUMP * shares.mean(axis=1, keepdims=True)
        won = spread * BETS * p_values ** (BETS - 1)
        totals = won.sum(axis=1)
        self._shares[betting] = won / totals[:, None]
        self._log_capitals[betting] += np.log(totals)
        mean = np.logaddexp.reduce(self._log_capitals) - math.log(len(self._log_capitals))
        self.largest_log = max(self.largest_log, float(mean))


class ConformalRanks:
    """Conformal p-values of one score, by class; a large score is unusual.

    Args:
        scores: of the reference images, with their classes.
        draw: breaks ties.
    """

    def __init__(self, scores: Iterable[tuple[str, float]], draw: np.random.Generator) -> None:
        self._seen: dict[str, list[float]] = defaultdict(list)
        for label, score in scores:
            self._seen[label].append(_rounded(score))
        for values in self._seen.values():
            values.sort()
        self._draw = draw

    def p_value(self, label: str, score: float) -> float:
        """Return the p-value of a new image, which is a reference for the next ones."""
        seen, value = self._seen[label], _rounded(score)
        insort(seen, value)
        first, last = bisect_left(seen, value), bisect_right(seen, value)
        # From (0, 1]: a p-value of 0 would make the capital infinite.
        chance = 1 - self._draw.random()
        return (len(seen) - last + chance * (last - first)) / len(seen)


class DriftTest:
    """Are new images more unusual than the reference?

    Args:
        reference: predicted class and scores of each reference image, one or more; a score that is
            not known is NaN.
        seed: breaks ties.

    Attributes:
        images: number of images so far.
    """

    def __init__(self, reference: Iterable[tuple[str, Sequence[float]]], seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        labels, scores = zip(*reference, strict=True)
        self.images = 0
        self._ranks = [
            ConformalRanks(
                (pair for pair in zip(labels, column, strict=True) if not math.isnan(pair[1])), draw
            )
            for column in zip(*scores, strict=True)
        ]
        self._capital = Martingale(len(self._ranks))

    def add(self, label: str, scores: Sequence[float]) -> None:
        """Test one more image: its predicted class and its scores, NaN where one is not known."""
        self.images += 1
        p_values = [
            score if math.isnan(score) else ranks.p_value(label, score)
            for ranks, score in zip(self._ranks, scores, strict=True)
        ]
        self._capital.bet(np.array(p_values))

    @property
    def p_value(self) -> float:
        """Of the hypothesis that nothing has changed, after any number of looks."""
        return math.exp(-self._capital.largest_log)


def _rounded(score: float) -> float:
    """Return what tables hold: a table and the images that it is of must be the same reference."""
    return float(f"{score:.{DECIMALS}g}")
