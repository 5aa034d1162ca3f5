"""Paired differences: p-values counted by hand, intervals of published examples."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from trainer.evaluation.metrics.intervals import grouped_proportion
from trainer.evaluation.metrics.pairs import adjusted, paired_difference, sign_flip_p_value


def hits(*values: int) -> np.ndarray:
    return np.array(values, dtype=bool)


def test_five_gains_and_no_loss() -> None:
    """Two of 2^5 flips are as extreme: all gains, and all losses."""
    new, old = hits(1, 1, 1, 1, 1, 1), hits(0, 0, 0, 0, 0, 1)
    assert sign_flip_p_value(new, old, range(6)) == pytest.approx(2 / 32)


def test_images_of_a_group_are_flipped_together() -> None:
    """Gains by group are 3, 1, -1: of 8 flips, 6 reach a sum of 3 or more in either direction."""
    new = hits(1, 1, 1, 1, 0)
    old = hits(0, 0, 0, 0, 1)
    sums = [3 * a + b - c for a, b, c in product((1, -1), repeat=3)]
    by_hand = sum(abs(total) >= 3 for total in sums) / len(sums)
    assert by_hand == 6 / 8
    assert sign_flip_p_value(new, old, [0, 0, 0, 1, 2]) == pytest.approx(by_hand)
    # Five independent images would say something else: 4 gains, 1 loss.
    assert sign_flip_p_value(new, old, range(5)) == pytest.approx(12 / 32)


@pytest.mark.parametrize("groups", [[0] * 4, [0, 0, 1, 1]])
def test_few_surfaces_prove_nothing(groups: list[int]) -> None:
    assert sign_flip_p_value(hits(1, 1, 1, 1), hits(0, 0, 1, 1), groups) == 1


@pytest.mark.parametrize(("gains", "losses"), [(8, 1), (12, 3), (40, 15), (3, 3)])
def test_independent_images_are_the_exact_test_of_mcnemar(gains: int, losses: int) -> None:
    new = hits(*[1] * gains, *[0] * losses, *[1] * 20)
    old = hits(*[0] * gains, *[1] * losses, *[1] * 20)
    exact = binomtest(gains, gains + losses).pvalue
    # Of more than 16 images, flips are drawn.
    assert sign_flip_p_value(new, old, range(len(new))) == pytest.approx(exact, abs=5e-4)


def test_interval_of_newcombe() -> None:
    """Method 10 by hand: Wilson's intervals of 48 and 38 of 50, and their correlation.

    0.2 - √(0.0946² + 0.0970² - 2 φ 0.0946 · 0.0970) with φ = -24 / √(48 · 2 · 38 · 12).
    """
    new = hits(*[1] * 36, *[1] * 12, *[0] * 2)
    old = hits(*[1] * 36, *[0] * 12, *[1] * 2)
    found = paired_difference(new, old, range(50))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0569, 0.3404), abs=1e-4)


def test_a_tie_of_perfect_models_stays_open() -> None:
    every = hits(*[1] * 50)
    found = paired_difference(every, every, range(50))
    reach = 1 - grouped_proportion(every, range(50)).low
    assert (found.value, found.p_value) == (0, 1)
    assert (found.low, found.high) == pytest.approx((-reach, reach))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 4)), min_size=1, max_size=12)
)
def test_exchanging_the_models_changes_the_sign(rows: list[tuple[bool, bool, int]]) -> None:
    new, old = (np.array([row[place] for row in rows]) for place in (0, 1))
    groups = [row[2] for row in rows]
    one, other = paired_difference(new, old, groups), paired_difference(old, new, groups)
    assert one.value == -other.value
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p_value == pytest.approx(other.p_value)


def test_holm_by_hand() -> None:
    assert adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjusted([0.5, 0.9]) == [1, 1]
    assert adjusted([]) == []
