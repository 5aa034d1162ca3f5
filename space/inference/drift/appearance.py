"""Scores of an image by its statistics: does it look like a known fault, or simply different?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..core.arrays import Floats
from .baseline import ImageReference, Spread
from .image_statistics import NAMES


class _Class(NamedTuple):
    """Healthy images of a class: mean, whitening, unit directions in which faults shift them."""

    mean: Floats
    whitening: Floats
    directions: Floats


class Appearance:
    """Compares images with the training images of their class.

    They were not compared with the reference set before, whose ranks they would make unfair.

    Args:
        labels: class names.
        spreads: of the training images of each class.
        reference: of the model.
    """

    def __init__(
        self, labels: Sequence[str], spreads: Sequence[Spread], reference: ImageReference
    ) -> None:
        # What is weak is hard to find.
        weakest = [signature.shifts[0] for signature in reference.signatures]
        shifts = np.reshape(weakest, (-1, len(NAMES)))
        self._classes = {}
        for label, spread in zip(labels, spreads, strict=True):
            whitening = spread.whitening()
            directions = _unit(shifts @ whitening)
            self._classes[label] = _Class(np.asarray(spread.mean), whitening, directions)
        self.count = len(weakest) + 1

    def scores(self, label: str, statistics: Floats | None) -> list[float]:
        """Return how far an image is shifted as each fault shifts images, and its squared distance.

        Args:
            label: the predicted class.
            statistics: of the image; without them each score is NaN.
        """
        if statistics is None:
            return [np.nan] * self.count
        known = self._classes[label]
        shift = (statistics - known.mean) @ known.whitening
        return [*(known.directions @ shift), shift @ shift]


def _unit(directions: Floats) -> Floats:
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    unit: Floats = directions / np.maximum(lengths, 1e-12)
    return unit
