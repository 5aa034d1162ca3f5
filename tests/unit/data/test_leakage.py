"""Leakage counted by hand: who shares surface with whom, across which border."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.splits.leakage import leaking_files, overlapping, random_split_leakage
from trainer.data.splits.overlap_groups import SharedSurface, Surfaces, join_groups


def pair(a: str, b: str, *, copy_of_a: bool = False, same_view: bool = False) -> SharedSurface:
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
        copy_of_a=copy_of_a,
        same_view=same_view,
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
    assert overlapping(chained(), {"d"}, {"a"}) == set()


def test_a_random_split_leaks_as_combinatorics_say() -> None:
    # 50 pairs: a test image's twin is among the other 99, of which 80 are training images.
    names = [f"{i}{side}" for i in range(50) for side in "ab"]
    surfaces = join_groups([pair(f"{i}a", f"{i}b") for i in range(50)], names)
    mean, deviation = random_split_leakage(surfaces, dict.fromkeys(names, 0), 0.2)
    assert mean == pytest.approx(80 / 99, abs=0.05)
    assert 0 < deviation < 0.2
    alone = join_groups([], names)
    assert random_split_leakage(alone, dict.fromkeys(names, 0), 0.2) == (0, 0)


@st.composite
def copied(draw: st.DrawFn) -> tuple[Surfaces, set[frozenset[str]]]:
    """Draw views in one to four copies or frames, some overlapping; return all pairs, too.

    The links of a view form a tree, and any of its files may be the one that is linked to another.
    """
    families = [
        [f"{picture}-{copy}" for copy in range(count)]
        for picture, count in enumerate(draw(st.lists(st.integers(1, 4), min_size=1, max_size=6)))
    ]
    touching = [two for two in combinations(families, 2) if draw(st.booleans())]
    links = []
    for family in families:
        for place in range(1, len(family)):
            kind = draw(st.sampled_from(["copy_of_a", "same_view"]))
            before = draw(st.sampled_from(family[:place]))
            links.append(pair(before, family[place], **{kind: True}))
    links += [pair(*(draw(st.sampled_from(family)) for family in two)) for two in touching]
    everything = {frozenset(two) for family in families for two in combinations(family, 2)}
    everything |= {frozenset((a, b)) for one, other in touching for a in one for b in other}
    return join_groups(links, [file for family in families for file in family]), everything


@pytest.mark.slow
@given(found=copied(), data=st.data())
def test_links_between_copies_leak_as_all_their_pairs(
    found: tuple[Surfaces, set[frozenset[str]]], data: st.DataObject
) -> None:
    surfaces, everything = found
    sides = {
        file: data.draw(st.sampled_from(["train", "test", "other"])) for file in surfaces.groups
    }
    train, test = ({f for f, side in sides.items() if side == name} for name in ("train", "test"))
    expected = {a for a in test for b in train if frozenset((a, b)) in everything}
    assert overlapping(surfaces, test, train) == expected


@given(found=copied())
def test_a_random_split_of_copies_leaks_as_all_their_pairs(
    found: tuple[Surfaces, set[frozenset[str]]],
) -> None:
    surfaces, everything = found
    labels = dict.fromkeys(surfaces.groups, 0)
    spelled_out = join_groups([pair(*sorted(two)) for two in everything], list(labels))
    assert spelled_out.groups == surfaces.groups
    expected = random_split_leakage(spelled_out, labels, 0.3)
    assert np.allclose(random_split_leakage(surfaces, labels, 0.3), expected)


def test_images_that_a_run_leaves_out_count_only_through_their_copies() -> None:
    """B copies a, which the run leaves out as it does x; c shows the surface of a.

    One of b and c is tested while the other one is trained on, and one of d and e, which share
    nothing: half of the test images leak.
    """
    pairs = [pair("a", "b", copy_of_a=True), pair("a", "c"), pair("d", "x")]
    surfaces = join_groups(pairs, list("abcdex"))
    labels = {"b": 0, "c": 0, "d": 1, "e": 1}
    assert random_split_leakage(surfaces, labels, 0.5) == (0.5, 0)
