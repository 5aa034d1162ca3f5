"""Defects on strips: what several images show counts once, at its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.overlap_search.orientations import INVERSE, TURNS, Array, turned
from trainer.prediction.coil.defects import _hottest, find_defects
from trainer.prediction.coil.strips import Place, Strip

SIDE_PX, STEP_PX, IMAGES = 64, 32, 6
STRIP_PX = SIDE_PX + STEP_PX * (IMAGES - 1)


def strip_of(turns: tuple[int, ...] = (0,) * IMAGES) -> Strip:
    places = [Place(n, turn, 0, STEP_PX * n, SIDE_PX, SIDE_PX) for n, turn in enumerate(turns)]
    return Strip(tuple(places), SIDE_PX, STRIP_PX)


class Heat:
    """Heatmaps that show where a strip is hot; they are stored in each image's orientation."""

    def __init__(self, strip: Strip, **hot: Array) -> None:
        self.strip, self.hot = strip, hot

    def __call__(self, image: int, label: str) -> Array:
        place = self.strip.places[image]
        crop = self.hot[label][:, place.x : place.x + place.width]
        return turned(crop, int(INVERSE[place.turn])).astype(float)


def field(*boxes: tuple[int, int, int, int]) -> Array:
    """Return a strip that is hot in boxes of top, left, height, width."""
    hot = np.zeros((SIDE_PX, STRIP_PX))
    for top, left, height, width in boxes:
        hot[top : top + height, left : left + width] = 1
    return hot


@pytest.mark.parametrize("turn", range(TURNS))
def test_a_defect_in_three_images_counts_once(turn: int) -> None:
    strip = strip_of((0, turn, 0, turn, 0, 0))
    heat = Heat(strip, spot=field((20, 66, 8, 12)))
    labels = [None, "spot", "spot", None, None, None]
    [defect] = find_defects(strip, labels, heat)
    assert (defect.y, defect.x, defect.height, defect.width) == (20, 66, 8, 12)
    assert (defect.label, defect.images) == ("spot", (1, 2))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=IMAGES, max_size=IMAGES), st.integers(0, 50))
def test_defects_apart_count_each(shifts: list[int], top: int) -> None:
    lefts = [4 + 36 * n + shift for n, shift in enumerate(shifts)]
    strip = strip_of()
    heat = Heat(strip, spot=field(*((top, left, 8, 9) for left in lefts)))
    found = find_defects(strip, ["spot"] * IMAGES, heat)
    assert [(defect.x, defect.width) for defect in found] == [(left, 9) for left in lefts]
    for defect in found:
        seen = [p.image for p in strip.places if p.x < defect.x + 9 and p.x + SIDE_PX > defect.x]
        assert list(defect.images) == seen


def test_a_small_gap_does_not_separate() -> None:
    strip = strip_of()
    for gap_px, defects in ((6, 1), (20, 2)):
        heat = Heat(strip, spot=field((20, 70, 8, 8), (20, 78 + gap_px, 8, 8)))
        labels = [None, "spot", "spot", None, None, None]
        assert len(find_defects(strip, labels, heat)) == defects, gap_px


@pytest.mark.parametrize(("between", "defects"), [(0.15, 1), (0.0, 2)])
def test_a_long_defect_stays_whole_where_it_is_warm(between: float, defects: int) -> None:
    strip = strip_of()
    hot = field((20, 70, 6, 10), (20, 100, 6, 10))
    hot[22:24, 80:100] = between
    labels = [None, "spot", "spot", None, None, None]
    assert len(find_defects(strip, labels, Heat(strip, spot=hot))) == defects


def test_classes_are_counted_apart() -> None:
    strip = strip_of()
    heat = Heat(strip, spot=field((20, 70, 8, 8)), stain=field((20, 72, 8, 8)))
    labels = [None, "spot", "stain", None, None, None]
    found = find_defects(strip, labels, heat)
    assert [(each.label, each.images) for each in found] == [("spot", (1,)), ("stain", (2,))]


def test_what_one_image_alone_finds_hot_counts_less() -> None:
    """A region is hot in one image of four; the others show another one."""
    strip = Strip(tuple(Place(n, 0, 0, 0, SIDE_PX, SIDE_PX) for n in range(5)), SIDE_PX, SIDE_PX)
    one, other = field((5, 5, 8, 8)), field((40, 40, 8, 8))

    def heat(image: int, label: str) -> Array:
        whole = np.maximum(one, other) if image == 0 else one
        return whole[:, :SIDE_PX]

    assert len(find_defects(strip, ["spot"] * 5, heat)) == 1
    assert len(find_defects(strip, ["spot", "spot", None, None, None], heat)) == 2


def test_each_accepted_image_keeps_a_defect() -> None:
    """A speck smaller than any region, and a heatmap that is cold everywhere."""
    strip = strip_of()
    labels = ["spot", None, None, None, None, "stain"]
    heat = Heat(strip, spot=field((30, 10, 1, 1)), stain=field())
    speck, cold = find_defects(strip, labels, heat)
    assert (speck.y, speck.x, speck.height, speck.width) == (30, 10, 1, 1)
    assert (cold.x, cold.width, cold.height) == (STEP_PX * 5, SIDE_PX, SIDE_PX)


def test_a_speck_beside_a_defect_is_none() -> None:
    strip = strip_of()
    heat = Heat(strip, spot=field((20, 70, 8, 8), (50, 86, 1, 1)))
    [defect] = find_defects(strip, [None, "spot", None, None, None, None], heat)
    assert (defect.x, defect.width) == (70, 8)


def test_without_heatmaps_a_defect_fills_its_images() -> None:
    strip = strip_of()
    found = find_defects(strip, ["spot", "spot", None, None, "spot", None], None)
    assert [(defect.x, defect.width) for defect in found] == [(0, 96), (128, 64)]


def test_large_images_are_counted_on_a_coarse_grid() -> None:
    side = 2000
    strip = Strip((Place(0, 0, 0, 0, side, side), Place(1, 0, 0, 900, side, side)), side, 2900)
    hot = np.zeros((64, 93))
    hot[10:16, 40:48] = 1

    def heat(image: int, label: str) -> Array:
        return hot[:, 29 * image : 29 * image + 64]

    [defect] = find_defects(strip, ["spot", "spot"], heat)
    step = side / 64
    assert defect.images == (0, 1)
    assert defect.y == round(10 * step) and defect.height == round(6 * step)
    assert defect.x == round(40 * step) and defect.width == round(8 * step)


def test_the_hottest_region_of_a_faint_heatmap_is_its_own_not_the_whole_image() -> None:
    heat = np.array([[0.2, 0.1, 0.0, 0.06], [0.0, 0.0, 0.0, 0.01]])
    assert _hottest(heat).tolist() == [[True, True, False, False], [False] * 4]


@pytest.mark.parametrize(("gap", "defects"), [(4, 1), (10, 2)])
def test_a_gap_of_a_tenth_of_the_side_separates_defects(gap: int, defects: int) -> None:
    heat = np.zeros((64, 64))
    heat[20:30, 10:20] = heat[20:30, 20 + gap : 30 + gap] = 1
    strip = Strip((Place(0, 0, 0, 0, 64, 64),), 64, 64)
    assert len(find_defects(strip, ["A"], lambda image, label: heat)) == defects
