"""Leakage counted by hand: who shares surface with whom, across which border."""

from __future__ import annotations

import pytest
from datasets import Dataset, DatasetDict

from trainer.leakage import leaking_files, overlapping, random_split_leakage
from trainer.surfaces import SharedSurface, Surfaces, join_groups


def pair(a: str, b: str) -> SharedSurface:
    return SharedSurface(
        file_a=a,
        file_b=b,
        label_a="Pitted",
        label_b="Pitted",
        turn=0,
        turn_in_words="as it is",
        shift_y=0,
        shift_x=80,
        shared_area=0.6,
        similarity=0.99,
        mean_difference=1.5,
    )


def chained() -> Surfaces:
    """Return a chain a–b–c, a pair d–e, and f alone."""
    return join_groups([pair("a", "b"), pair("b", "c"), pair("d", "e")], list("abcdef"))


def test_groups_are_chains_of_pairs() -> None:
    assert chained().groups == {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1, "f": 2}


def test_only_direct_overlaps_across_the_border_leak() -> None:
    parts = DatasetDict(
        {
            name: Dataset.from_dict({"file": list(files)})
            for name, files in (("train", "a"), ("validation", "d"), ("test", "bcef"))
        }
    )
    # c hangs together with a, but does not show the same pixels.
    assert leaking_files(parts, chained()) == {"b", "e"}
    assert leaking_files(parts, None) == set()
    assert overlapping(chained().pairs, {"d"}, {"a"}) == set()


def test_a_random_split_leaks_as_combinatorics_say() -> None:
    # 50 pairs: a test image's twin is among the other 99, of which 80 are training images.
    names = [f"{i}{side}" for i in range(50) for side in "ab"]
    surfaces = join_groups([pair(f"{i}a", f"{i}b") for i in range(50)], names)
    mean, deviation = random_split_leakage(surfaces, dict.fromkeys(names, 0), 0.2)
    assert mean == pytest.approx(80 / 99, abs=0.05)
    assert 0 < deviation < 0.2
    alone = join_groups([], names)
    assert random_split_leakage(alone, dict.fromkeys(names, 0), 0.2) == (0, 0)
