"""A test of drift that may be looked at after each image: conformal test martingales.

Each new image gets a conformal p-value: its rank among the reference images and all earlier images
of the same predicted class, ties broken at random. As long as the images of each class come in an
exchangeable order, these p-values are independent and uniform, and a gambler who bets against that
can't expect to win: the probability that the capital ever reaches 1/α is at most α (Ville 1939).
So 1 / (largest capital so far) is a p-value that holds at every look.

Vovk, Nouretdinov and Gammerman, "Testing exchangeability on-line" (ICML 2003); Vovk et al.,
"Retrain or not retrain: conformal test martingales for change-point detection" (2021,
arXiv:2102.10439), whose Simple Jumper moves capital between bets, here the power bets ε p^(ε - 1)
of the former. By class ("Mondrian"), so that another mix of classes alone is no drift.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

# Exponents of the bets; 1 keeps the capital.
BETS = np.array([1.0, 0.7, 0.4, 0.2])
# Share of the capital that is spread over all bets before each image.
JUMP = 0.01
DECIMALS = 6


class Martingale:
    """The capital of a gambler who bets that p-values are too small."""

    def __init__(self) -> None:
        self._shares = np.full(len(BETS), 1 / len(BETS))
        self._log_capital = 0.0
        self.largest_log = 0.0

    def bet(self, p_value: float) -> None:
        """Bet on one p-value."""
        spread = (1 - JUMP) * self._shares + JUMP * self._shares.mean()
        won = spread * BETS * p_value ** (BETS - 1)
        total = float(won.sum())
        self._shares = won / total
        self._log_capital += math.log(total)
        self.largest_log = max(self.largest_log, self._log_capital)


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
    """Are new images more novel, or less confident, than the reference?

    Args:
        reference: predicted class, confidence and novelty of each reference image; the novelty of
            all is None if the model has no detector.
        seed: breaks ties.

    Attributes:
        images: number of images so far.
    """

    def __init__(self, reference: Iterable[tuple[str, float, float | None]], seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        known = list(reference)
        self.images = 0
        doubt = [(label, -confidence) for label, confidence, _ in known]
        novel = [(label, novelty) for label, _, novelty in known if novelty is not None]
        self._doubt = ConformalRanks(doubt, draw), Martingale()
        self._novel = (ConformalRanks(novel, draw), Martingale()) if novel else None

    def add(self, label: str, confidence: float, novelty: float | None) -> None:
        """Test one more image: its predicted class, confidence, and relative novelty."""
        self.images += 1
        ranks, capital = self._doubt
        capital.bet(ranks.p_value(label, -confidence))
        if self._novel and novelty is not None:
            ranks, capital = self._novel
            capital.bet(ranks.p_value(label, novelty))

    @property
    def p_value(self) -> float:
        """Of the hypothesis that nothing has changed, after any number of looks.

        Two capitals are looked at, so each has half of the error (Bonferroni).
        """
        capitals = [self._doubt[1]] + ([self._novel[1]] if self._novel else [])
        largest = max(capital.largest_log for capital in capitals)
        return min(1.0, len(capitals) * math.exp(-largest))


def _rounded(score: float) -> float:
    """Return what tables hold: a table and the images that it is of must be the same reference."""
    return float(f"{score:.{DECIMALS}g}")
