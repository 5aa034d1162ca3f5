"""Compare answered images with a baseline, as the answers arrive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.arrays import Floats
from .appearance import Appearance
from .baseline import Baseline
from .cause import Cause, likeliest_causes
from .image_statistics import NAMES
from .martingale import DriftTest

# In exchangeable order, a healthy batch of any length raises an alarm at most this often. Far less
# than 1 %, since the images of one piece of surface are alike.
ALARM = 0.0001
# Of a histogram of the novelty relative to the limit; the last bin takes all that is larger.
NOVELTY_EDGES = np.linspace(0, 1.5, 13)


class Pair(NamedTuple):
    """A value of the batch, and the same of the baseline."""

    batch: float
    baseline: float


@dataclass(frozen=True)
class DriftReport:
    """The comparison of all images so far.

    Attributes:
        images: number of images of the batch.
        known_images: number of images of the baseline.
        p_value: of the hypothesis that nothing has changed; it holds at every look.
        shares: of each verdict that occurs.
        confidence: medians.
        novelty: medians, relative to the limit; None if the model has no detector.
        novelty_shares: share of the images in each bin of `NOVELTY_EDGES`.
        causes: see `likeliest_causes`; None without an alarm, or without image statistics.
        looked: whether light, lens and sensor were compared, or confidence and novelty alone.
    """

    images: int
    known_images: int
    p_value: float
    shares: dict[str, Pair]
    confidence: Pair
    novelty: Pair | None
    novelty_shares: list[Pair]
    causes: list[Cause] | None
    looked: bool

    @property
    def found(self) -> bool:
        """Whether the images differ from the baseline."""
        return self.p_value <= ALARM

    @property
    def p_words(self) -> str:
        """The p-value, with its letter."""
        return "p < 0.0001" if self.p_value < 0.0001 else f"p = {self.p_value:.2g}"


class DriftComparison:
    """A batch of images, compared with a baseline.

    Args:
        baseline: the healthy images.
    """

    def __init__(self, baseline: Baseline) -> None:
        self.baseline = baseline
        images = baseline.images
        self._appearance = None
        measured: Sequence[Sequence[float] | None] = [None] * len(baseline.predicted)
        if images and images.classes and images.statistics:
            self._appearance = Appearance(baseline.labels, images.classes, images)
            measured = images.statistics
        novelty: Sequence[float | None] = baseline.novelty or [None] * len(baseline.predicted)
        labels = [baseline.labels[index] for index in baseline.predicted]
        self._test = DriftTest(
            (label, self._scores(label, confidence, novel, None if row is None else np.array(row)))
            for label, confidence, novel, row in zip(
                labels, baseline.confidence, novelty, measured, strict=True
            )
        )
        self._sum, self._measured = np.zeros(len(NAMES)), 0
        self._verdicts: Counter[str] = Counter()
        self._confidence: list[float] = []
        self._novelty: list[float] = []

    def add(
        self,
        label: str,
        confidence: float,
        novelty: float | None,
        verdict: str,
        statistics: Floats | None,
    ) -> None:
        """Take the answer for one image.

        Args:
            label: the predicted class.
            confidence: of that class.
            novelty: relative to the limit; None if the model has no detector.
            verdict: of the answer.
            statistics: from `image_statistics`, if they were computed.
        """
        if statistics is not None:
            self._sum += statistics
            self._measured += 1
        self._test.add(label, self._scores(label, confidence, novelty, statistics))
        self._verdicts[verdict] += 1
        self._confidence.append(confidence)
        if novelty is not None:
            self._novelty.append(novelty)

    def _scores(
        self, label: str, confidence: float, novelty: float | None, statistics: Floats | None
    ) -> list[float]:
        """Return the scores of an image that the baseline has, too; a large one is unusual."""
        scores = [-confidence]
        if self.baseline.novelty is not None:
            scores.append(np.nan if novelty is None else novelty)
        if self._appearance is not None:
            scores += self._appearance.scores(label, statistics)
        return scores

    @property
    def p_value(self) -> float:
        """Of the hypothesis that nothing has changed."""
        return self._test.p_value

    def report(self) -> DriftReport | None:
        """Return the comparison of all images so far; None before the first one."""
        test, baseline = self._test, self.baseline
        if not test.images:
            return None
        known = baseline.shares()
        verdicts = [*known, *(verdict for verdict in self._verdicts if verdict not in known)]
        novelty, novelty_shares = None, []
        if self._novelty and baseline.novelty:
            novelty = _medians(self._novelty, baseline.novelty)
            pairs = zip(_shares(self._novelty), _shares(baseline.novelty), strict=True)
            novelty_shares = [Pair(*pair) for pair in pairs]
        return DriftReport(
            images=test.images,
            known_images=len(baseline.predicted),
            p_value=test.p_value,
            shares={
                verdict: Pair(self._verdicts[verdict] / test.images, known.get(verdict, 0.0))
                for verdict in verdicts
            },
            confidence=_medians(self._confidence, baseline.confidence),
            novelty=novelty,
            novelty_shares=novelty_shares,
            causes=self._causes() if test.p_value <= ALARM else None,
            looked=self._appearance is not None,
        )

    def _causes(self) -> list[Cause] | None:
        images = self.baseline.images
        if images is None or not images.signatures or not self._measured:
            return None
        return likeliest_causes(images, self._sum / self._measured)


def _medians(batch: Sequence[float], baseline: Sequence[float]) -> Pair:
    return Pair(float(np.median(batch)), float(np.median(baseline)) if baseline else 0.0)


def _shares(novelty: Sequence[float]) -> list[float]:
    counts = np.bincount(
        np.searchsorted(NOVELTY_EDGES[1:], novelty, side="right"), minlength=len(NOVELTY_EDGES)
    )
    shares: list[float] = (counts / len(novelty)).tolist()
    return shares
