"""Figures show the worst mistakes and the largest confusions, then each class in turn."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from space.inference.core.decision import Prediction
from trainer.evaluation.sample_rows import choose_samples, in_turn, worst_mistakes

LABELS = ["Crazing", "Inclusion", "Pitted", "Scratches"]


def predictions(named: list[int], confidence: list[float]) -> list[Prediction]:
    return [
        Prediction({name: c if n == own else (1 - c) / 3 for n, name in enumerate(LABELS)})
        for own, c in zip(named, confidence, strict=True)
    ]


def test_the_worst_mistakes_and_the_largest_confusions_are_shown() -> None:
    # Rows 0-5: Crazing called Inclusion, hardly sure; 6-8: Scratches called Inclusion, most often
    # but one; 9: the most confident mistake; 10-13 are right.
    truth = [0] * 6 + [3] * 3 + [2] + [0, 1, 2, 3]
    named = [1] * 6 + [1] * 3 + [0] + [0, 1, 2, 3]
    sure = [0.41, 0.42, 0.47, 0.44, 0.45, 0.46, 0.61, 0.62, 0.63, 0.988, 0.9, 0.91, 0.92, 0.93]
    found = predictions(named, sure)
    assert worst_mistakes(truth, LABELS, found, 2) == [9, 2]
    # The two most confident, and those that stand for the two largest confusions: 0 → 1, 3 → 1.
    assert worst_mistakes(truth, LABELS, found, 4) == [9, 8, 7, 2]
    assert worst_mistakes(truth, LABELS, found, 99) == [9, 8, 7, 6, 2, 5, 4, 3, 1, 0]
    assert choose_samples(truth, LABELS, found, 8) == [9, 8, 7, 2, 10, 11, 12, 13]


def test_rows_take_turns_by_class() -> None:
    assert in_turn([1, 1, 0, 1, 0, 2], range(6)) == [2, 0, 5, 4, 1, 3]
    assert in_turn([1, 1, 0], [1, 2]) == [2, 1]
    assert in_turn([], []) == []


rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(30, 99)), min_size=1, max_size=40
)


@given(rows=rows, most=st.integers(2, 24))
def test_half_of_the_places_show_mistakes_as_long_as_there_are_any(
    rows: list[tuple[int, int, int]], most: int
) -> None:
    truth = [true for true, _, _ in rows]
    found = predictions([named for _, named, _ in rows], [c / 100 for _, _, c in rows])
    wrong = {row for row, p in enumerate(found) if p.label != LABELS[truth[row]]}
    chosen = choose_samples(truth, LABELS, found, most)
    assert len(set(chosen)) == len(chosen) <= most
    mistakes = [row for row in chosen if row in wrong]
    assert len(mistakes) == min(len(wrong), most // 2)
    if mistakes:
        confidence = {row: found[row].confidence for row in wrong}
        assert confidence[mistakes[0]] == max(confidence.values())
        kinds = {row: (truth[row], found[row].label) for row in wrong}
        if most >= 4:
            largest = max(Counter(kinds.values()).values())
            assert any(Counter(kinds.values())[kinds[row]] == largest for row in mistakes)
