"""How healthy images of each class vary, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from space.inference.drift.image_statistics import NAMES
from trainer.decision.baseline import SHRINKAGE, _first_of_each, spreads


def test_a_class_has_its_own_mean_and_borrows_from_the_spread_of_all() -> None:
    """Class 0 varies by ±1, class 1 by ±3; there is no image of class 2."""
    values = np.array([4.0, 6.0, 17.0, 23.0, 17.0, 23.0])
    statistics = np.zeros((6, len(NAMES)))
    statistics[:, 2] = values
    found = spreads(statistics, np.array([0, 0, 1, 1, 1, 1]), 3)
    assert [spread.mean[2] for spread in found] == [5, 20, 15]
    shared = (2 * 1 + 4 * 9) / 6
    variances = [spread.covariance[2][2] for spread in found]
    assert variances == pytest.approx(
        [
            (2 * 1 + SHRINKAGE * shared) / (2 + SHRINKAGE),
            (4 * 9 + SHRINKAGE * shared) / (4 + SHRINKAGE),
            shared,
        ]
    )
    assert found[0].covariance[0][2] == 0


def test_each_class_gives_as_many_images() -> None:
    rows = np.array([9, 4, 7, 1, 3])
    assert _first_of_each(rows, np.array([0, 0, 1, 0, 1]), 2).tolist() == [9, 4, 7, 3]
