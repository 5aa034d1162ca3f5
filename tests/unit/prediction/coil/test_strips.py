"""Strips from links: positions, orientations, and links that contradict the others."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.drawn_strips import Shot
from trainer.data.overlap_search import Overlap
from trainer.data.overlap_search.orientations import COMPOSED, INVERSE, Array, turned
from trainer.prediction.coil.strips import INCONSISTENT_PX, lay_out_strips

SIDE_PX = 40
SURFACE = np.arange(SIDE_PX * 1000).reshape(SIDE_PX + 10, -1)


def link_of(a: int, b: int, shots: list[Shot]) -> Overlap:
    """Return the exact link of two crops of one surface, each stored in its own orientation."""
    one, two = shots[a].of(SURFACE), shots[b].of(SURFACE)
    turn = int(COMPOSED[shots[a].turn, INVERSE[shots[b].turn]])
    two = turned(two, turn)
    # A pixel that both show has one place in each.
    shared = np.intersect1d(one, two)[0]
    at_one, at_two = (np.argwhere(each == shared)[0] for each in (one, two))
    y, x = (at_one - at_two).tolist()
    area = len(np.intersect1d(one, two)) / min(one.size, two.size)
    return Overlap(a, b, turn, y, x, area, 1.0, 0.0)


def links_of(shots: list[Shot]) -> list[Overlap]:
    return [
        link_of(a, b, shots)
        for a, b in combinations(range(len(shots)), 2)
        if np.intersect1d(shots[a].of(SURFACE), shots[b].of(SURFACE)).size > SIDE_PX * 4
    ]


def shapes_of(shots: list[Shot]) -> Array:
    return np.array([shot.of(SURFACE).shape for shot in shots])


def row_of_shots(turns: list[int]) -> list[Shot]:
    """Return crops along a strip; each overlaps the next two."""
    return [Shot(3 * (n % 3), 13 * n, SIDE_PX, SIDE_PX + 6, turn) for n, turn in enumerate(turns)]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=2, max_size=9))
def test_images_lie_where_they_were_taken(turns: list[int]) -> None:
    shots = row_of_shots(turns)
    [strip], dropped = lay_out_strips(links_of(shots), shapes_of(shots))
    assert dropped == []
    canvas = np.full((strip.height, strip.width), -1)
    for place in strip.places:
        pixels = turned(shots[place.image].of(SURFACE), place.turn)
        region = canvas[place.y : place.y + place.height, place.x : place.x + place.width]
        assert pixels.shape == region.shape
        assert ((region == -1) | (region == pixels)).all(), "two images disagree on a pixel"
        region[:] = pixels
    assert strip.places[0].turn == 0, "the first image stays upright"


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(0, 7), min_size=6, max_size=9),
    st.integers(0, 20),
    st.integers(10, 60),
    st.booleans(),
)
def test_a_wrong_link_is_dropped(turns: list[int], at: int, off_px: int, rotated: bool) -> None:
    shots = row_of_shots(turns)
    exact, shapes = links_of(shots), shapes_of(shots)
    wanted, _ = lay_out_strips(exact, shapes)
    at %= len(exact)
    wrong = replace(exact[at], shift_x=exact[at].shift_x + off_px, shared_area=1.0)
    if rotated:
        # In the right place, but upside down.
        wrong = replace(exact[at], shared_area=1.0)
        wrong = replace(wrong, turn=int(COMPOSED[3, wrong.turn]))
    links = [*exact[:at], wrong, *exact[at + 1 :]]
    # The two ends hang by few links: there a wrong one is outvoted only if two others agree.
    strips, dropped = lay_out_strips(links, shapes)
    assert dropped == [wrong]
    assert strips == wanted


def test_small_errors_are_shared_out() -> None:
    """Each of twenty links is off by half a pixel or so: no link is dropped, no image far off."""
    rng = np.random.default_rng(0)
    shots = row_of_shots([0] * 20)
    links = [
        replace(link, shift_x=link.shift_x + int(rng.integers(-1, 2))) for link in links_of(shots)
    ]
    [strip], dropped = lay_out_strips(links, shapes_of(shots))
    assert dropped == []
    off = [place.x - shots[place.image].x for place in strip.places]
    assert max(map(abs, off)) < INCONSISTENT_PX


def test_links_that_disagree_a_little_share_the_error() -> None:
    shapes = np.array([(10, 40)] * 3)
    steps = ((0, 1, 10), (1, 2, 10), (0, 2, 23))
    links = [Overlap(a, b, 0, 0, x, 0.5, 1.0, 0.0) for a, b, x in steps]
    [strip], dropped = lay_out_strips(links, shapes)
    assert dropped == []
    assert [place.x for place in strip.places] == [0, 11, 22]


def test_images_alone_and_other_groups_are_strips_of_their_own() -> None:
    shapes = np.array([(10, 20)] * 5)
    links = [Overlap(1, 4, 0, 0, 12, 0.4, 1.0, 0.0), Overlap(2, 3, 0, -4, 0, 0.6, 1.0, 0.0)]
    strips, dropped = lay_out_strips(links, shapes)
    assert dropped == []
    assert [[place.image for place in strip.places] for strip in strips] == [[0], [1, 4], [2, 3]]
    assert [(strip.width, strip.height) for strip in strips] == [(20, 10), (32, 10), (20, 14)]
    assert [(place.y, place.x) for place in strips[2].places] == [(4, 0), (0, 0)]


def test_a_link_between_two_pieces_is_dropped_where_it_contradicts_itself() -> None:
    """Two wrong links that disagree leave the pieces apart, or joined by one of them at most."""
    shots = row_of_shots([0] * 6)
    exact = links_of(shots[:3]) + [
        replace(link, a=link.a + 3, b=link.b + 3) for link in links_of(shots[:3])
    ]
    wrong = [Overlap(0, 3, 0, 0, 5, 0.2, 0.7, 9.0), Overlap(2, 5, 0, 30, 25, 0.2, 0.7, 9.0)]
    _, dropped = lay_out_strips([*exact, *wrong], shapes_of(shots))
    assert 1 <= len(dropped) <= 2
    assert set(dropped) <= set(wrong)
