"""The choice of test images for a figure: worst mistakes, largest confusions, each class."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

from space.inference.predictor import Prediction


def choose_samples(
    truth: Sequence[int], labels: Sequence[str], predictions: Sequence[Prediction], most: int
) -> list[int]:
    """Return the rows to show: the worst mistakes, at most half, then each class in turn.

    Args:
        truth: class index of each test image.
        labels: class names.
        predictions: of the same images.
        most: the largest number of rows.
    """
    chosen = worst_mistakes(truth, labels, predictions, most // 2)
    right = [row for row, p in enumerate(predictions) if p.label == labels[truth[row]]]
    return chosen + in_turn(truth, right)[: most - len(chosen)]


def worst_mistakes(
    truth: Sequence[int], labels: Sequence[str], predictions: Sequence[Prediction], most: int
) -> list[int]:
    """Return the most confident mistakes; half of them represent the largest confusions.

    A confusion is a pair of true and predicted class, represented by its most confident mistake.

    Returns:
        rows, the most confident first.
    """
    wrong = [row for row, p in enumerate(predictions) if p.label != labels[truth[row]]]
    wrong.sort(key=lambda row: -predictions[row].confidence)
    rank = {row: place for place, row in enumerate(wrong)}
    kinds = {row: (truth[row], predictions[row].label) for row in wrong}
    frequency = Counter(kinds.values())
    leaders = {kinds[row]: row for row in reversed(wrong)}
    largest = sorted(leaders, key=lambda kind: (-frequency[kind], rank[leaders[kind]]))
    ordered = [
        *wrong[: most - most // 2],
        *(leaders[kind] for kind in largest[: most // 2]),
        *wrong,
    ]
    chosen = list(dict.fromkeys(ordered))[:most]
    return sorted(chosen, key=lambda row: rank[row])


def in_turn(truth: Sequence[int], rows: Iterable[int]) -> list[int]:
    """Return rows in a new order: the first of each class, then the second, and so on."""
    by_class: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        by_class[truth[row]].append(row)
    ranks = zip_longest(*(by_class[label] for label in sorted(by_class)))
    return [row for row in chain.from_iterable(ranks) if row is not None]
