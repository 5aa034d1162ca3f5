"""Count the images of one part that show what another part shows too."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from datasets import DatasetDict

from trainer.surfaces import SharedSurface, Surfaces

RANDOM_SPLITS = 20


def leaking_files(parts: DatasetDict, surfaces: Surfaces | None) -> set[str]:
    """Return the test files that share surface with one of training or validation."""
    if surfaces is None:
        return set()
    seen = {*parts["train"]["file"], *parts["validation"]["file"]}
    return overlapping(surfaces.pairs, set(parts["test"]["file"]), seen)


def overlapping(
    pairs: list[SharedSurface], later: Collection[str], earlier: Collection[str]
) -> set[str]:
    """Return those of the `later` files that share surface with one of the `earlier` ones."""
    found = set()
    for pair in pairs:
        for one, other in ((pair.file_a, pair.file_b), (pair.file_b, pair.file_a)):
            if one in later and other in earlier:
                found.add(one)
    return found


def random_split_leakage(
    surfaces: Surfaces, labels: dict[str, int], test_share: float
) -> tuple[float, float]:
    """Return the share of test images that would leak if the images were divided at random.

    Args:
        surfaces: of all images.
        labels: the class of each file.
        test_share: share of each class that the test part takes, as a fraction of 1.

    Returns:
        mean and standard deviation over RANDOM_SPLITS stratified random splits.
    """
    files = np.array(list(labels))
    place = {file: index for index, file in enumerate(files)}
    ends = np.array(
        [(place[pair.file_a], place[pair.file_b]) for pair in surfaces.pairs], dtype=np.int64
    ).reshape(-1, 2)
    classes = np.array(list(labels.values()))
    shares = []
    for seed in range(RANDOM_SPLITS):
        # Ranks within each class, in random order: the lowest share of them is the test part.
        rng, tested = np.random.default_rng(seed), np.zeros(len(files), dtype=bool)
        for label in np.unique(classes):
            rows = rng.permutation(np.flatnonzero(classes == label))
            tested[rows[: max(1, round(test_share * len(rows)))]] = True
        leaking = np.zeros(len(files), dtype=bool)
        for one, other in (ends.T, ends.T[::-1]):
            leaking[one[tested[one] & ~tested[other]]] = True
        shares.append(leaking.sum() / tested.sum())
    return float(np.mean(shares)), float(np.std(shares))
