"""Out-of-distribution detection: the distance of an image from the training images.

The early and middle stages of a network respond to grain, edges and patterns at growing scales.
Each stage is described by the mean and standard deviation of its channels over the image. The
novelty score is the Mahalanobis distance to the nearest class (Lee et al. 2018, arXiv:1807.03888),
summed over the stages. The last layer would be less suitable: it was trained to ignore everything
that does not separate the classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .arrays import Floats

ARRAYS = ("centre", "whiten", "classes")


@dataclass(frozen=True)
class StageStatistics:
    """Channel statistics of the training images in one stage.

    Attributes:
        centre: mean of all images, [statistic].
        whiten: linear map that makes the common within-class covariance the identity,
            [statistic, axis].
        classes: mean of each class after this map, [class, axis].
    """

    centre: Floats
    whiten: Floats
    classes: Floats

    def check(self, name: str) -> None:
        """Check that the shapes of the arrays match.

        Raises:
            ValueError: a shape or a number type is wrong; the message begins with `name`.
        """
        arrays = (self.centre, self.whiten, self.classes)
        if any(array.dtype not in (np.float32, np.float64) for array in arrays):
            raise ValueError(f"{name} is not stored as float32 or float64")
        if [array.ndim for array in arrays] != [1, 2, 2] or 0 in self.classes.shape:
            raise ValueError(f"{name} does not hold a vector and two matrices")
        if self.whiten.shape != (len(self.centre), self.classes.shape[1]):
            raise ValueError(f"the shapes of the arrays of {name} do not match")

    def distances(self, statistics: Floats) -> Floats:
        """Return the mean squared deviation from each class, 1 if typical: [image, class]."""
        placed = (statistics - self.centre) @ self.whiten
        # From the differences: by a product of matrices, small distances are lost in rounding.
        squares = [np.square(placed - own).sum(axis=1) for own in self.classes]
        distances: Floats = np.stack(squares, axis=1) / placed.shape[1]
        return distances


@dataclass(frozen=True)
class MahalanobisDetector:
    """Novelty detector: channel statistics of the training images, by stage of the network."""

    stages: Mapping[int, StageStatistics]

    def novelty(self, statistics: Sequence[Floats]) -> Floats:
        """Return the distance of each image to the nearest class, [image].

        Args:
            statistics: mean and logarithm of the standard deviation of each channel, by stage:
                [image, 2 × channel].
        """
        pairs = zip(self.stages.values(), statistics, strict=True)
        distances = np.stack([stage.distances(values) for stage, values in pairs])
        nearest: Floats = distances.sum(axis=0).min(axis=1)
        return nearest

    def arrays(self) -> dict[str, Floats]:
        """Return all arrays by name, for a file."""
        return {
            f"stage{index}.{name}": getattr(stage, name)
            for index, stage in self.stages.items()
            for name in ARRAYS
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats]) -> MahalanobisDetector:
        """Build a detector from what `arrays` returns.

        Raises:
            ValueError: a name, a shape or a number type is wrong.
        """
        names = {name.partition(".")[0] for name in arrays}
        if not names or not all(re.fullmatch(r"stage\d{1,3}", name) for name in names):
            raise ValueError("its arrays are not called stage0.centre and so on")
        stages = {}
        for index in sorted(int(name.removeprefix("stage")) for name in names):
            found = {name: arrays.get(f"stage{index}.{name}") for name in ARRAYS}
            lacking = [name for name, array in found.items() if array is None]
            if lacking:
                raise ValueError(f"it lacks stage{index}.{lacking[0]}")
            stages[index] = StageStatistics(**{n: a for n, a in found.items() if a is not None})
            stages[index].check(f"stage{index}")
        if len(arrays) != len(ARRAYS) * len(stages):
            raise ValueError("it holds arrays that belong to no stage")
        return cls(stages)
