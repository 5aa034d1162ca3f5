"""The pictures of the page show what the pairs say."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from trainer.data.overlap_search.orientations import INVERSE, TURNS, turned
from trainer.data.splits.overlap_groups import SharedSurface
from trainer.inspection.pictures import Box, histogram_path, mosaic, show_pair
from trainer.inspection.report.schema import Group

SURFACE = np.random.default_rng(5).integers(0, 256, (60, 150), dtype=np.uint8)


def pair(file_a: str, file_b: str, turn: int, shift_y: int, shift_x: int) -> SharedSurface:
    return SharedSurface(
        file_a=file_a,
        file_b=file_b,
        label_a="A",
        label_b="A",
        turn=turn,
        turn_in_words="",
        shift_y=shift_y,
        shift_x=shift_x,
        shared_area=0.5,
        similarity=1,
        mean_difference=0,
    )


def test_the_shared_area_is_outlined_in_both_pictures() -> None:
    a, b = Image.new("L", (40, 20)), Image.new("L", (50, 25))
    shown = show_pair(pair("a", "b", 0, -5, 10), a, b, with_texture=False)
    # Columns 10 to 40 and rows 0 to 20 of `a`; `b` begins 5 rows above and 10 columns to the right.
    assert shown.box_a == Box(left=25, top=0, width=75, height=100)
    assert shown.box_b == Box(left=0, top=20, width=60, height=80)
    assert shown.texture_a is None


@pytest.mark.parametrize("turn", range(TURNS))
def test_the_second_picture_is_turned_as_it_lies(turn: int) -> None:
    a, b = Image.new("L", (40, 20)), Image.new("L", (30, 10))
    shown = show_pair(pair("a", "b", turn, 0, 0), a, b, with_texture=True)
    assert shown.ratio_b == pytest.approx(10 / 30 if turn & 4 else 30 / 10)
    assert shown.texture_b


@pytest.mark.parametrize("turn", range(TURNS))
def test_a_mosaic_gives_back_the_surface(turn: int) -> None:
    crops = {
        "a": SURFACE[:, :70],
        # Stored turned, so that `turn` brings it back.
        "b": turned(SURFACE[:, 40:110], int(INVERSE[turn])),
        "c": SURFACE[:, 90:],
    }
    images = {file: Image.fromarray(np.ascontiguousarray(crop)) for file, crop in crops.items()}
    found = mosaic(
        Group(files=["a", "b", "c"], labels=["A"]),
        [pair("a", "b", turn, 0, 40), pair("a", "c", 0, 0, 90), pair("x", "y", 0, 0, 0)],
        {file: image.size for file, image in images.items()},
        images.__getitem__,
    )
    assert np.array_equal(np.asarray(found.convert("L")), SURFACE)


def test_the_highest_bin_takes_the_full_height() -> None:
    expected = "M0 40L0.0 20.0L10.0 20.0L10.0 0.0L20.0 0.0L20 40Z"
    assert histogram_path([0.25, 0.5], 20, 40) == expected
