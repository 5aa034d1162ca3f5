"""Count the images of one split that share surface with another split."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from datasets import DatasetDict

from trainer.data.splits.overlap_groups import Surfaces

RANDOM_SPLITS = 20


def leaking_files(splits: DatasetDict, surfaces: Surfaces | None) -> set[str]:
    """Return the test files that share surface with one of training or validation."""
    if surfaces is None:
        return set()
    seen = {*splits["train"]["file"][:], *splits["validation"]["file"][:]}
    return overlapping(surfaces, set(splits["test"]["file"][:]), seen)


def overlapping(surfaces: Surfaces, later: Collection[str], earlier: Collection[str]) -> set[str]:
    """Return those of the `later` files that share surface with one of the `earlier` ones.

    All copies of an image share surface with the same images.
    """
    first = surfaces.stand_in
    seen = {first.get(file, file) for file in earlier}
    shown = set(seen)
    for pair in surfaces.pairs:
        one, two = first.get(pair.file_a, pair.file_a), first.get(pair.file_b, pair.file_b)
        if one in seen:
            shown.add(two)
        if two in seen:
            shown.add(one)
    return {file for file in later if first.get(file, file) in shown}


def random_split_leakage(
    surfaces: Surfaces, labels: dict[str, int], test_share: float
) -> tuple[float, float]:
    """Return the share of test images that would leak in a random split.

    Args:
        surfaces: of these images, and of others that a run leaves out.
        labels: the class of each file.
        test_share: share of each class that the test split takes, as a fraction of 1.

    Returns:
        mean and standard deviation over RANDOM_SPLITS stratified random splits.
    """
    first = surfaces.stand_in
    # A copy may be in the run whose representative is not: that has a row after all others.
    names = dict.fromkeys([*labels, *(first.get(file, file) for file in labels)])
    place = {file: index for index, file in enumerate(names)}
    # Row of the representative of each image and its copies.
    shown = np.array([place[first.get(file, file)] for file in names])
    pairs = [
        (place[pair.file_a], place[pair.file_b])
        for pair in surfaces.pairs
        if not pair.a_stands_for_b and pair.file_a in place and pair.file_b in place
    ]
    ends = shown[np.array(pairs, dtype=np.int64).reshape(-1, 2)]
    classes = np.array(list(labels.values()))
    rows_of_classes = [np.flatnonzero(classes == label) for label in np.unique(classes)]
    shares = []
    for seed in range(RANDOM_SPLITS):
        # Ranks within each class, in random order: the lowest share of them is the test split.
        rng, tested = np.random.default_rng(seed), np.zeros(len(names), dtype=bool)
        for rows in rows_of_classes:
            count = max(1, round(test_share * len(rows)))
            tested[rng.permutation(rows)[:count]] = True
        trained = np.zeros(len(names), dtype=bool)
        trained[shown[: len(labels)][~tested[: len(labels)]]] = True
        seen = trained.copy()
        for one, other in (ends.T, ends.T[::-1]):
            seen[one[trained[other]]] = True
        shares.append((tested & seen[shown]).sum() / tested.sum())
    return float(np.mean(shares)), float(np.std(shares))
