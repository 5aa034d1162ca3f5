"""The overlap search on drawn surfaces, of which one knows which crops share what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from benchmarks.drawn_strips import SURFACES, Pixels, Shot
from trainer.data.overlap_search import Overlap, find_overlaps
from trainer.data.overlap_search.orientations import turned
from trainer.data.overlap_search.similarity import shared_parts
from trainer.synthetic.brushes import Array, Rng

# Gray levels. Fainter plain texture does not survive JPEG at quality 60: of two crops of one
# surface at 1.0, what is left correlates by 0.5, at 1.5 by 0.7. The next test goes below that.
FAINTEST_AT_QUALITY_60 = 3.0
FAINTEST_AT_QUALITY_90 = 1.0
# Of 200 px, 15 % is a strip of 30 px: of much narrower ones there is not enough to go by. From 20 %
# on hardly one is missed, whatever else is drawn; below, what is faint and stored badly may be.
SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 200, 280
EXAMPLES = 20


def search(images: list[Pixels]) -> list[Overlap]:
    return find_overlaps(np.array([image.shape for image in images]), images.__getitem__)


@dataclass(frozen=True)
class Scene:
    """Two shots of one surface, and what is needed to draw it."""

    kind: str
    contrast: float
    seed: int
    shots: tuple[Shot, Shot]

    @property
    def size(self) -> tuple[int, int]:
        return (
            max(shot.y + shot.height for shot in self.shots),
            max(shot.x + shot.width for shot in self.shots),
        )

    def photographs(self, seed: int) -> list[Pixels]:
        surface = SURFACES[self.kind](np.random.default_rng(seed), self.size, self.contrast)
        return [shot.taken(surface) for shot in self.shots]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Draw two crops, of any sides and turned anyhow, that share at least 20 % of the smaller."""
    sides = st.integers(SMALLEST_SIDE_PX, LARGEST_SIDE_PX)
    height_a, width_a, height_b, width_b = (draw(sides) for _ in range(4))
    smaller = min(height_a * width_a, height_b * width_b)
    # Of each axis at least 20 % is shared, and enough that the other axis can make up the rest.
    least_y = max(
        0.2 * min(height_a, height_b), 0.205 * smaller / min(width_a, width_b), 0.2 * height_a
    )
    shared_y = draw(st.integers(int(np.ceil(least_y)), min(height_a, height_b)))
    least_x = max(0.205 * smaller / shared_y, 0.2 * width_a)
    shared_x = draw(st.integers(int(np.ceil(least_x)), min(width_a, width_b)))
    below, right = draw(st.booleans()), draw(st.booleans())
    y = height_a - shared_y if below else shared_y - height_b
    x = width_a - shared_x if right else shared_x - width_b
    origin = max(0, -y), max(0, -x)

    def shot(place: tuple[int, int], height: int, width: int) -> Shot:
        return Shot(
            *place,
            height,
            width,
            turn=draw(st.integers(0, 7)),
            brightness=draw(st.floats(0.9, 1.1)),
            blur_px=draw(st.sampled_from([0.0, 0.0, 0.4, 0.8])),
            quality=draw(st.integers(60, 95)),
        )

    shots = (
        shot(origin, height_a, width_a),
        shot((origin[0] + y, origin[1] + x), height_b, width_b),
    )
    return Scene(
        kind=draw(st.sampled_from(sorted(SURFACES))),
        contrast=draw(st.floats(FAINTEST_AT_QUALITY_60, 6)),
        seed=draw(st.integers(0, 2**32 - 1)),
        shots=shots,
    )


def assert_lies_right(scene: Scene, found: Overlap, tolerance_px: int = 1) -> None:
    """Check turn, shift and area by the place on the surface that each pixel shows."""
    a, b = ([shot.of(axis) for axis in np.indices(scene.size)] for shot in scene.shots)
    for axis in (0, 1):
        b_turned = turned(b[axis], found.turn)
        one, two = shared_parts(a[axis], b_turned, found.shift_y, found.shift_x)
        assert one.size
        assert np.abs(one - two).max() <= tolerance_px
    numbers_a, numbers_b = (image[0] * scene.size[1] + image[1] for image in (a, b))
    shared = np.intersect1d(numbers_a, numbers_b).size / min(numbers_a.size, numbers_b.size)
    assert found.shared_area == pytest.approx(shared, abs=0.02)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(scenes())
def test_crops_of_one_surface_are_found_and_others_not(scene: Scene) -> None:
    images = scene.photographs(scene.seed) + scene.photographs(scene.seed + 1)
    found = search(images)
    assert [(pair.a, pair.b) for pair in found] == [(0, 1), (2, 3)]
    for pair in found:
        assert_lies_right(scene, pair)


@pytest.mark.parametrize("kind", sorted(SURFACES))
@pytest.mark.parametrize(
    ("shared_px", "contrast", "quality"),
    # Of the narrowest strip, quality 60 leaves too little of texture fainter than this.
    [(31, 5.0, 75), (40, FAINTEST_AT_QUALITY_90, 90)],
)
def test_narrow_strips_are_found_nine_times_in_ten(
    kind: str, shared_px: int, contrast: float, quality: int
) -> None:
    shots = (Shot(200 - shared_px, 0, quality=quality), Shot(0, 0, quality=quality))
    strips = [Scene(kind, contrast, seed, shots) for seed in range(10)]
    found = sum(len(search(scene.photographs(scene.seed))) for scene in strips)
    assert found >= 9


def test_order_of_images_does_not_matter() -> None:
    surface = SURFACES["plain"](np.random.default_rng(8), (300, 320), 4)
    shots = [Shot(0, 0, 180, 220, turn=6), Shot(90, 110, 200, 210, turn=1), Shot(100, 60)]
    images = [shot.taken(surface) for shot in shots]
    forwards, backwards = search(images), search(images[::-1])
    areas = {(pair.a, pair.b): pair.shared_area for pair in forwards}
    assert areas.keys() == {(0, 1), (0, 2), (1, 2)}
    assert areas == {(2 - pair.b, 2 - pair.a): pair.shared_area for pair in backwards}


def test_images_larger_than_usual_are_placed_at_full_resolution() -> None:
    shots = (Shot(0, 0, 900, 1200), Shot(411, 703, 900, 1200, turn=4, quality=80))
    scene = Scene("plain", 6, 9, shots)
    another = scene.photographs(10)[0]
    found = search([*scene.photographs(9), another])
    assert [(pair.a, pair.b) for pair in found] == [(0, 1)]
    assert_lies_right(scene, found[0], tolerance_px=2)


ROWS, COLUMNS = (axis.astype(float) for axis in np.indices((200, 200)))


def _grained(pattern: Array | float, rng: Rng, contrast: float = 1.5, sigma_px: float = 1) -> Array:
    """Return a pattern of gray levels on steel with a grain of its own."""
    noise: Array = ndimage.gaussian_filter(rng.standard_normal((200, 200)), sigma_px)
    noise *= contrast / noise.std()
    return pattern + noise


def _straight_lines(rng: Rng) -> Array:
    marks = ndimage.gaussian_filter1d(rng.standard_normal(200), 1.5)
    return _grained(100 + 60 * marks, rng)


def _one_roll_mark(rng: Rng) -> Array:
    """The same lines in each image: the roll's, not the steel's."""
    marks = ndimage.gaussian_filter1d(np.random.default_rng(0).standard_normal(400), 1.5)
    return _grained(100 + 60 * np.roll(marks, int(rng.integers(400)))[:200], rng)


def _crossing_lines(rng: Rng) -> Array:
    y, x = rng.uniform(30, 170, 2)
    lean = rng.uniform(-0.2, 0.2)
    distances = (COLUMNS - x - lean * ROWS, ROWS - y + lean * COLUMNS)
    return _grained(100 + sum(80 * np.exp(-0.5 * (d / 1.5) ** 2) for d in distances), rng)


def _grating(rng: Rng) -> Array:
    y, x = rng.uniform(0, 2 * np.pi, 2)
    waves = 30 * np.sin(2 * np.pi * COLUMNS / 13 + x) + 20 * np.sin(2 * np.pi * ROWS / 17 + y)
    return _grained(120 + waves, rng)


def _slanting_grating(rng: Rng) -> Array:
    phase = rng.uniform(0, 2 * np.pi)
    return _grained(120 + 30 * np.sin(2 * np.pi * (COLUMNS + 0.3 * ROWS) / 40 + phase), rng)


def _spots_in_a_lattice(rng: Rng) -> Array:
    y, x = rng.integers(0, 60, 2)
    distance = np.hypot((ROWS + y) % 60 - 30, (COLUMNS + x) % 60 - 30)
    return _grained(150 - 60 * (distance < 7), rng)


def _flat(rng: Rng) -> Array:
    return np.full((200, 200), 120.0)


def _noise(rng: Rng) -> Array:
    return _grained(120, rng, 20, 0.01)


def _one_lamp(rng: Rng) -> Array:
    """The same light on steel that shows no more than the camera's noise."""
    light = 1 + 0.3 * (COLUMNS / 100 - 1) + 0.2 * (ROWS / 100 - 1)
    return _grained(120 * light, rng, 1.5, 0.01)


@pytest.mark.parametrize(
    "paint",
    [
        _straight_lines,
        _one_roll_mark,
        _crossing_lines,
        _grating,
        _slanting_grating,
        _spots_in_a_lattice,
        _flat,
        _noise,
        _one_lamp,
    ],
)
def test_what_is_alike_but_not_the_same_is_no_pair(paint: Callable[[Rng], Array]) -> None:
    rng = np.random.default_rng(10)
    qualities = [60, 67, 74, 81, 88, 95, 60, 95]
    images = [Shot(0, 0, quality=quality).taken(paint(rng)) for quality in qualities]
    assert search(images) == []


@pytest.mark.parametrize("kind", sorted(SURFACES))
def test_surfaces_of_one_kind_are_distinguished(kind: str) -> None:
    rng = np.random.default_rng(11)
    images = [
        Shot(0, 0, quality=int(rng.integers(60, 96))).taken(
            SURFACES[kind](rng, (200, 200), rng.uniform(0.5, 5))
        )
        for _ in range(40)
    ]
    assert search(images) == []
