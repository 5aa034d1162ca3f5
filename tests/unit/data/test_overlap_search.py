"""The parts of the overlap search, against answers worked out by hand."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.drawn_strips import SURFACES, Shot
from trainer.data.overlap_search import Overlap, find_overlaps, group_images, search
from trainer.data.overlap_search.candidates import Candidate
from trainer.data.overlap_search.keypoints import find_landmarks
from trainer.data.overlap_search.layout import implied_candidates
from trainer.data.overlap_search.orientations import (
    COMPOSED,
    INVERSE,
    NAMES,
    TURNS,
    Array,
    moved_points,
    turned,
)
from trainer.data.overlap_search.similarity import (
    likeness,
    mean_local_likeness,
    shared_parts,
    strongest_rival,
    texture,
)
from trainer.data.overlap_search.verify import confirm

LETTERS = np.array([list("ab"), list("cd"), list("ef")])


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (0, ["ab", "cd", "ef"]),
        (1, ["ba", "dc", "fe"]),
        (2, ["ef", "cd", "ab"]),
        (3, ["fe", "dc", "ba"]),
        (4, ["ace", "bdf"]),
        (5, ["eca", "fdb"]),
        (6, ["bdf", "ace"]),
        (7, ["fdb", "eca"]),
    ],
)
def test_turns_do_what_their_names_say(turn: int, expected: list[str]) -> None:
    assert ["".join(row) for row in turned(LETTERS, turn)] == expected
    clockwise = NAMES.index("turned by 90° clockwise")
    assert np.array_equal(turned(LETTERS, clockwise), np.rot90(LETTERS, -1))


def test_turns_compose_and_invert() -> None:
    for first, second in product(range(TURNS), repeat=2):
        both = turned(turned(LETTERS, first), second)
        assert np.array_equal(turned(LETTERS, int(COMPOSED[second, first])), both)
    for turn in range(TURNS):
        assert np.array_equal(turned(turned(LETTERS, turn), int(INVERSE[turn])), LETTERS)


@pytest.mark.parametrize("turn", range(TURNS))
def test_points_move_with_the_pixels(turn: int) -> None:
    y, x = (axis.ravel() for axis in np.indices(LETTERS.shape))
    moved_y, moved_x = moved_points(y, x, np.array(turn), *map(np.array, LETTERS.shape))
    assert np.array_equal(turned(LETTERS, turn)[moved_y, moved_x], LETTERS[y, x])


def overlap(a: int, b: int, turn: int, shift_y: int, shift_x: int) -> Overlap:
    return Overlap(a, b, turn, shift_y, shift_x, 0.5, 1.0, 0.0)


def test_neighbours_of_a_neighbour_are_implied() -> None:
    # Three squares of 10 px in a row, each 4 px to the right of the one before.
    shapes = np.full((3, 2), 10)
    pairs = [overlap(0, 1, 0, 0, 4), overlap(1, 2, 0, 0, 4)]
    assert implied_candidates(pairs, shapes, 0.12) == [Candidate(0, 2, 0, 0, 8)]
    # 8 px to the right they share 20 %, and 30 % are asked for, less a tolerance of a fifth.
    assert implied_candidates(pairs, shapes, 0.3) == []


def test_implied_places_pass_through_turns() -> None:
    surface = np.arange(40 * 60).reshape(40, 60)
    shots = [
        Shot(4, 6, height=20, width=30, turn=5),
        Shot(10, 12, height=24, width=18, turn=2),
        Shot(8, 20, height=16, width=22, turn=7),
        Shot(2, 10, height=30, width=12, turn=0),
    ]
    images = [shot.of(surface) for shot in shots]
    shapes = np.array([image.shape for image in images])

    def how_they_lie(a: int, b: int) -> Candidate:
        turn = int(COMPOSED[shots[a].turn, INVERSE[shots[b].turn]])
        other = turned(images[b], turn)
        common = np.intersect1d(images[a], other)[0]
        (y_a, x_a), (y_b, x_b) = (np.argwhere(image == common)[0] for image in (images[a], other))
        return Candidate(a, b, turn, int(y_a - y_b), int(x_a - x_b))

    chain = [how_they_lie(a, a + 1) for a in range(3)]
    pairs = [overlap(c.a, c.b, c.turn, c.shift_y, c.shift_x) for c in chain]
    expected = [how_they_lie(0, 2), how_they_lie(0, 3), how_they_lie(1, 3)]
    assert sorted(implied_candidates(pairs, shapes, 0.12)) == expected


def test_groups_join_chains_and_are_numbered_by_first_image() -> None:
    assert group_images(6, [(1, 4), (4, 5), (2, 3)]) == [0, 1, 2, 2, 1, 1]
    assert group_images(3, []) == [0, 1, 2]
    assert group_images(0, []) == []


def test_shared_parts_of_images_of_two_sizes() -> None:
    a, b = np.arange(12).reshape(3, 4), np.arange(100, 106).reshape(2, 3)
    one, two = shared_parts(a, b, 2, -1)
    assert one.tolist() == [[8, 9]]
    assert two.tolist() == [[101, 102]]
    assert shared_parts(a, b, 3, 0)[0].size == 0
    assert shared_parts(a, b, 0, -3)[0].size == 0


def test_likeness_of_equal_opposite_and_other_textures() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 60, 80))
    assert likeness(one, 3 * one) == pytest.approx(1)
    assert likeness(one, -one) == pytest.approx(-1)
    assert likeness(one[5:], one, (-5, 0)) == pytest.approx(1)
    # The standard deviation by chance is 1 / sqrt(4800), 0.014.
    assert abs(likeness(one, other)) < 0.07
    assert abs(mean_local_likeness(one, other)) < 0.07
    assert likeness(one, one, (60, 0)) == -1


def test_one_strong_line_does_not_make_textures_alike_place_by_place() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.standard_normal((2, 60, 80))
    one[30], other[30] = 50, 50
    assert likeness(one, other) > 0.95
    assert mean_local_likeness(one, other) < 0.3


def test_rival_of_a_grating_is_its_period() -> None:
    noise = 0.1 * np.random.default_rng(2).standard_normal((60, 80))
    grating = np.sin(2 * np.pi * np.arange(80) / 16)[None, :] + noise
    rival = strongest_rival(grating, grating)
    assert abs(rival[1]) in {0, 16, 32}
    assert likeness(grating, grating, rival) > 0.95


@pytest.mark.parametrize("off", [(0, 0), (1, -2), (-2, 2)])
def test_confirm_finds_the_exact_shift_and_area(off: tuple[int, int]) -> None:
    surface = SURFACES["busy"](np.random.default_rng(3), (300, 300), 2)
    images = [Shot(0, 0).taken(surface), Shot(50, 80, turn=5).taken(surface)]
    textures = [texture(image) for image in images]
    turn = int(INVERSE[5])
    proposed = Candidate(0, 1, turn, 50 + off[0], 80 + off[1])
    found = confirm(proposed, images.__getitem__, textures.__getitem__)
    assert found is not None
    assert (found.turn, found.shift_y, found.shift_x) == (turn, 50, 80)
    assert found.shared_area == 150 * 120 / 200**2
    assert found.similarity > 0.95
    astray = Candidate(0, 1, turn, 80, 50)
    assert confirm(astray, images.__getitem__, textures.__getitem__) is None


def test_mean_difference_is_in_gray_levels_of_the_shared_area() -> None:
    surface = np.random.default_rng(4).integers(20, 200, (120, 160)).astype(float)
    images = [
        Shot(0, 0, 120, 120, quality=None).taken(surface),
        Shot(0, 40, 120, 120, quality=None).taken(surface + 7),
    ]
    textures = [texture(image) for image in images]
    found = confirm(Candidate(0, 1, 0, 0, 40), images.__getitem__, textures.__getitem__)
    assert found is not None
    assert found.mean_difference == 7
    assert found.shared_area == pytest.approx(2 / 3)
    assert found.similarity == pytest.approx(1)


def test_landmarks_turn_with_the_image() -> None:
    surface = SURFACES["clouds"](np.random.default_rng(5), (160, 200), 4)
    image = surface.round().clip(0, 255).astype(np.uint8)
    straight, mirrored = find_landmarks(image), find_landmarks(image[:, ::-1])
    assert len(straight.y) > 100

    def by_place(y: Array, x: Array, descriptions: Array) -> dict[tuple[int, int], Array]:
        return {(int(row), int(col)): d for row, col, d in zip(y, x, descriptions, strict=True)}

    one = by_place(straight.y, straight.x, straight.descriptions)
    two = by_place(mirrored.y, 199 - mirrored.x, mirrored.descriptions)
    both = one.keys() & two.keys()
    assert len(both) > 0.95 * len(one)
    assert all(np.allclose(one[place], two[place], atol=1e-3) for place in both)
    lengths = np.linalg.norm(straight.descriptions.astype(np.float32), axis=1)
    assert np.allclose(lengths, 1, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (19, 19), (22, 400), (23, 23), (3, 30)])
def test_images_smaller_than_a_patch_are_let_pass(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(6)
    images = rng.integers(0, 256, (3, *shape), dtype=np.uint8)
    assert find_overlaps(np.full((3, 2), shape), images.__getitem__) == []


def test_no_image_or_one_has_no_pairs() -> None:
    assert find_overlaps(np.empty((0, 2)), lambda index: np.empty((0, 0))) == []
    image = np.zeros((200, 200), np.uint8)
    assert find_overlaps(np.array([[200, 200]]), lambda index: image) == []


def _threads_of_products() -> list[int]:
    """Return the threads of numpy's and scipy's products; those of faiss do not run here."""
    return [
        each["num_threads"]
        for each in threadpool_info()
        if each["user_api"] == "blas" and each.get("threading_layer") != "openmp"
    ]


def test_each_thread_that_compares_pairs_computes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that each start more threads for their products wait for each other."""
    used = []
    monkeypatch.setattr(search, "confirm", lambda *_, **__: used.append(_threads_of_products()))
    monkeypatch.setattr(search, "propose", lambda *_: [Candidate(0, 1, 0, 0, 0)])
    image = np.zeros((40, 40), np.uint8)
    with threadpool_limits(2, user_api="blas"):
        assert find_overlaps(np.array([image.shape] * 2), lambda index: image) == []
        before = _threads_of_products()
    assert set(before) == {2}
    assert used == [[1] * len(before)]


def test_one_frame_stands_for_very_many_of_the_same_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strip that stood still: 60 frames with noise of their own, then a step of half a frame."""
    rng = np.random.default_rng(0)
    strip = gaussian_filter(rng.normal(size=(96, 160)), 2)
    strip = 128 + 30 * strip / strip.std()
    still = [strip[:, :96] + rng.normal(0, 2, (96, 96)) for _ in range(60)]
    frames = [*still[:30], strip[:, 48:144], *still[30:], rng.uniform(0, 255, (96, 96))]
    pixels = [frame.clip(0, 255).astype(np.uint8) for frame in frames]
    compared = []

    def counted(candidate: Candidate, *arguments: Any, **named: Any) -> Overlap | None:
        compared.append((candidate.a, candidate.b))
        return confirm(candidate, *arguments, **named)

    monkeypatch.setattr("trainer.data.overlap_search.search.confirm", counted)
    found = find_overlaps(np.array([frame.shape for frame in pixels]), lambda i: pixels[i])
    groups = group_images(len(pixels), [(pair.a, pair.b) for pair in found])
    assert groups == [0] * 61 + [1]
    # All pairs would be 1,830; each frame is compared with the one that stands for the others.
    assert len(set(compared)) < 3 * len(pixels)
    stepped = [pair for pair in found if 30 in (pair.a, pair.b)]
    assert {(pair.shift_x, pair.a_stands_for_b) for pair in stepped} == {(48, False)}
    assert sum(pair.a_stands_for_b for pair in found) == 59


def test_a_few_frames_of_the_same_view_are_all_compared() -> None:
    rng = np.random.default_rng(1)
    view = 128 + 300 * gaussian_filter(rng.normal(size=(96, 96)), 2)
    pixels = [(view + rng.normal(0, 2, view.shape)).clip(0, 255).astype(np.uint8) for _ in range(6)]
    found = find_overlaps(np.array([frame.shape for frame in pixels]), lambda i: pixels[i])
    assert [(pair.a, pair.b) for pair in found] == list(combinations(range(6), 2))
    assert not any(pair.a_stands_for_b for pair in found)
