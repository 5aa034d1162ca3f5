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
from typing import Any

import torch

# Ratio of image size to map size: coarser maps describe objects, finer ones single pixels.
FINEST, COARSEST = 4, 16
MOST_STAGES = 3
# By matrix products, small distances would be lost in rounding.
EXACT = "donot_use_mm_for_euclid_dist"
ARRAYS = ("centre", "whiten", "classes")


def feature_stages(model: Any) -> list[int]:
    """Return the stages of a timm model to observe; none if it does not expose them.

    These are the last stage of each scale between a quarter and a sixteenth of the image. If all
    stages have the same scale, as in vision transformers, a few evenly spaced ones.
    """
    if not hasattr(model, "forward_intermediates"):
        return []
    scales = [info["reduction"] for info in model.feature_info]
    last = {scale: index for index, scale in enumerate(scales) if FINEST <= scale <= COARSEST}
    if len(last) == 1 and len(scales) > MOST_STAGES:
        return [len(scales) * quarter // (MOST_STAGES + 1) - 1 for quarter in (1, 2, 3)]
    return sorted(last.values())


@dataclass(frozen=True)
class StageStatistics:
    """Channel statistics of the training images in one stage.

    Attributes:
        centre: mean of all images, [statistic].
        whiten: linear map that makes the common within-class covariance the identity,
            [statistic, axis].
        classes: mean of each class after this map, [class, axis].
    """

    centre: torch.Tensor
    whiten: torch.Tensor
    classes: torch.Tensor

    def check(self, name: str) -> None:
        """Check that the shapes of the arrays match.

        Raises:
            ValueError: a shape or a number type is wrong; the message begins with `name`.
        """
        arrays = (self.centre, self.whiten, self.classes)
        if any(array.dtype not in (torch.float32, torch.float64) for array in arrays):
            raise ValueError(f"{name} is not stored as float32 or float64")
        if [array.ndim for array in arrays] != [1, 2, 2] or 0 in self.classes.shape:
            raise ValueError(f"{name} does not hold a vector and two matrices")
        if self.whiten.shape != (len(self.centre), self.classes.shape[1]):
            raise ValueError(f"the shapes of the arrays of {name} do not match")

    def distances(self, statistics: torch.Tensor) -> torch.Tensor:
        """Return the mean squared deviation from each class, 1 if typical: [image, class]."""
        placed = (statistics - self.centre) @ self.whiten
        return torch.cdist(placed, self.classes, compute_mode=EXACT).square() / placed.shape[1]


@dataclass(frozen=True)
class MahalanobisDetector:
    """Novelty detector: channel statistics of the training images, by stage of the network."""

    stages: Mapping[int, StageStatistics]

    def novelty(self, statistics: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the distance of each image to the nearest class, [image].

        Args:
            statistics: `channel_statistics` of each stage, in order.
        """
        pairs = zip(self.stages.values(), statistics, strict=True)
        distances = torch.stack([stage.distances(values) for stage, values in pairs])
        return distances.sum(dim=0).amin(dim=1)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all arrays by name, for a safetensors file."""
        return {
            f"stage{index}.{name}": getattr(stage, name)
            for index, stage in self.stages.items()
            for name in ARRAYS
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> MahalanobisDetector:
        """Build a detector from the arrays that `tensors` returns.

        Raises:
            ValueError: a name, a shape or a number type is wrong.
        """
        names = {name.partition(".")[0] for name in tensors}
        if not names or not all(re.fullmatch(r"stage\d{1,3}", name) for name in names):
            raise ValueError("its tensors are not called stage0.centre and so on")
        stages = {}
        for index in sorted(int(name.removeprefix("stage")) for name in names):
            arrays = {name: tensors.get(f"stage{index}.{name}") for name in ARRAYS}
            lacking = [name for name, array in arrays.items() if array is None]
            if lacking:
                raise ValueError(f"it lacks stage{index}.{lacking[0]}")
            stages[index] = StageStatistics(**{n: a for n, a in arrays.items() if a is not None})
            stages[index].check(f"stage{index}")
        if len(tensors) != len(ARRAYS) * len(stages):
            raise ValueError("it holds tensors that belong to no stage")
        return cls(stages)
