"""Subsets contain the smaller ones, and pieces of surface join them whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.data_needs.subsets import collection_order, default_counts, fewest_images, subset

IMAGES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6)), min_size=9, max_size=60).filter(
    lambda rows: {label for label, _ in rows} == {0, 1, 2}
)


@given(IMAGES, st.integers(0, 3))
def test_subsets_are_nested_and_grouped(rows: list[tuple[int, int]], seed: int) -> None:
    labels, groups = np.array(rows).T
    orders = collection_order(labels, groups, seed)
    assert sorted(np.concatenate(orders).tolist()) == [*range(len(rows))]
    before: set[int] = set()
    for count in range(1, 8):
        chosen = subset(orders, [count] * 3)
        assert before <= set(chosen.tolist())
        before = set(chosen.tolist())
        for label in range(3):
            own = [row for row in chosen if labels[row] == label]
            assert len(own) == min(count, int((labels == label).sum()))
            # At most the last piece is cut.
            cut = [
                group
                for group in set(groups[own].tolist())
                if (groups[own] == group).sum() < ((groups == group) & (labels == label)).sum()
            ]
            assert len(cut) <= 1


def test_the_order_depends_on_the_seed() -> None:
    labels, groups = np.zeros(40, dtype=np.int64), np.arange(40)
    first, again, other = (collection_order(labels, groups, seed)[0] for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_classes_have_their_own_counts() -> None:
    labels = np.repeat([0, 1, 2], 10)
    chosen = subset(collection_order(labels, np.arange(30), 0), [3, 10, 1])
    assert np.bincount(labels[chosen]).tolist() == [3, 10, 1]


def test_counts_double_up_to_what_there_is() -> None:
    assert default_counts(192) == [10, 20, 40, 80, 192]
    assert default_counts(240) == [10, 20, 40, 80, 160, 240]
    assert default_counts(9) == [2, 4, 9]
    assert default_counts(fewest_images()) == [1, 2, 3]
