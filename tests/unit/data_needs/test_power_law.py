"""The fit of a power law recovers known laws, and keeps its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data_needs.power_law import fit_power_law

COUNTS = [10, 20, 40, 80, 160]


@given(st.floats(0, 0.3), st.floats(0.2, 3), st.floats(0.15, 1.9))
def test_a_known_law_is_recovered(floor: float, scale: float, exponent: float) -> None:
    errors = floor + scale * np.array(COUNTS, dtype=float) ** -exponent
    law = fit_power_law(COUNTS, errors, np.ones(5))
    assert float(law.error(25)) == pytest.approx(floor + scale * 25**-exponent, abs=1e-4)
    assert float(law.error(320)) == pytest.approx(floor + scale * 320**-exponent, abs=1e-3)
    assert float(law.exponent) == pytest.approx(exponent, rel=0.02)


def test_each_row_has_its_own_law() -> None:
    n = np.array(COUNTS, dtype=float)
    rows = np.stack([0.02 + 2 * n**-0.5, 0.1 + 0 * n, 0.5 * n**-1.0])
    law = fit_power_law(COUNTS, rows, np.ones(5))
    assert law.floor == pytest.approx([0.02, 0.1, 0.0], abs=1e-4)
    assert law.scale[[0, 2]] == pytest.approx([2, 0.5], rel=1e-2)
    assert law.error(640) == pytest.approx([0.02 + 2 / 640**0.5, 0.1, 0.5 / 640], abs=1e-3)


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_no_error_grows_with_more_images_or_falls_below_zero(errors: list[float]) -> None:
    law = fit_power_law(COUNTS, errors, np.ones(5))
    assert law.floor >= 0
    assert law.scale >= 0
    assert law.error(80) >= law.error(1000) >= 0


def test_a_heavier_count_counts_more() -> None:
    errors = [0.3, 0.3, 0.3, 0.3, 0.1]
    light = fit_power_law(COUNTS, errors, [1, 1, 1, 1, 1]).error(160)
    heavy = fit_power_law(COUNTS, errors, [1, 1, 1, 1, 100]).error(160)
    assert abs(heavy - 0.1) < abs(light - 0.1)


def test_two_counts_are_no_curve() -> None:
    with pytest.raises(ValueError, match="needs 3 counts, not 2"):
        fit_power_law([10, 20], [0.2, 0.1], [1, 1])
