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
        surfaces: of all images.
        labels: the class of each file.
        test_share: share of each class that the test split takes, as a fraction of 1.

    Returns:
        mean and standard deviation over RANDOM_SPLITS stratified random splits.
    """
    files = np.array(list(labels))
    place = {file: index for index, file in enumerate(files)}
    first = surfaces.stand_in
    # Row of the representative of each image and its copies.
    shown = np.array([place[first.get(file, file)] for file in labels])
    pairs = [(place[p.file_a], place[p.file_b]) for p in surfaces.pairs if not p.a_stands_for_b]
    ends = shown[np.array(pairs, dtype=np.int64).reshape(-1, 2)]
    classes = np.array(list(labels.values()))
    rows_of_classes = [np.flatnonzero(classes == label) for label in np.unique(classes)]
    shares = []
    for seed in range(RANDOM_SPLITS):
        # Ranks within each class, in random order: the lowest share of them is the test split.
        rng, tested = np.random.default_rng(seed), np.zeros(len(files), dtype=bool)
        for rows in rows_of_classes:
            count = max(1, round(test_share * len(rows)))
            tested[rng.permutation(rows)[:count]] = True
        trained = np.zeros(len(files), dtype=bool)
        trained[shown[~tested]] = True
        seen = trained.copy()
        for one, other in (ends.T, ends.T[::-1]):
            seen[one[trained[other]]] = True
        shares.append((tested & seen[shown]).sum() / tested.sum())
    return float(np.mean(shares)), float(np.std(shares))
