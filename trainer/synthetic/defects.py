"""Draw the six surface defects of hot-rolled steel strip as arrays of gray levels.

Nothing is learned from photographs: each function follows the appearance of the defect and how
it forms, with parameters set by hand. The defects are those named by Song and Yan, "A noise robust
method based on completed local binary patterns for hot-rolled steel strip surface defects",
Applied Surface Science 285 (2013) 858–864.

Every function takes a random generator and returns float64 gray levels, [row, column], where 0 is
black and 255 white; values outside are over- or under-exposed. Rolling runs from top to bottom.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trainer.synthetic.brushes import (
    COLUMNS,
    ROWS,
    SIZE_PX,
    Array,
    Rng,
    fibres,
    lamp,
    noise,
    profile,
    ramp,
    stamp,
)


def _visibility(rng: Rng) -> float:
    """Return the contrast of the defect: mostly strong, faint in one image of ten."""
    return rng.uniform(0.4, 0.65) if rng.random() < 0.1 else rng.uniform(0.75, 1.1)


def _crack(canvas: Array, rng: Rng, length_px: int, strength: float) -> None:
    """Press one jagged, mostly horizontal crack into `canvas`, with clots of scale along it."""
    slow, jagged, thick = (profile(rng, sigma)[:length_px] for sigma in (9, 1.6, 3))
    heading = rng.uniform(-0.4, 0.2) + 0.3 * slow + 0.8 * jagged
    y = rng.uniform(0, SIZE_PX) + np.cumsum(np.sin(heading))
    x = rng.uniform(-30, SIZE_PX) + np.cumsum(np.cos(heading))
    clot = np.maximum(thick, 0)
    steps = np.arange(length_px)
    fade = np.minimum(1, np.minimum(steps, steps[::-1]) / 8)
    stamp(canvas, y, x, 0.8 + 0.4 * clot, strength * fade * (0.6 + 0.3 * clot))


def paint_crazing(rng: Rng) -> Array:
    """A net of fine dark cracks in coarse-grained, vertically shaded steel."""
    visibility = _visibility(rng)
    level: float = 180 - 90 * rng.random() ** 1.5
    cracks = np.zeros((SIZE_PX, SIZE_PX))
    boldness = rng.uniform(0.45, 0.7)
    for _ in range(rng.integers(12, 30)):
        _crack(cracks, rng, int(rng.integers(15, 110)), boldness * rng.uniform(0.4, 1.2))
    # Contour lines of noise wander and close on themselves, as the meshes of the net do.
    mesh = noise(rng, 5, 10) + 0.18 * noise(rng, 1.2, 1.2)
    mesh_depth = 0.2 * ramp(0.12 - np.abs(mesh), 0.25) * ramp(noise(rng, 12, 16), 1)
    drop = np.linspace(-1, 1, 9)
    for _ in range(rng.integers(0, 6)):
        y = rng.uniform(0, SIZE_PX) + rng.uniform(1.5, 5) * drop
        x = rng.uniform(0, SIZE_PX) + rng.uniform(-2, 2) * drop + 0.5 * rng.standard_normal(9)
        radius_px = rng.uniform(0.8, 1.6) * (1.2 - drop**2)
        stamp(cracks, y, x, np.maximum(radius_px, 0.4), np.full(9, rng.uniform(0.35, 0.6)))
    light = 1 + 0.1 * profile(rng, 22) + 0.03 * profile(rng, 4) + 0.04 * noise(rng, 35, 35)
    grain = 0.09 * noise(rng, 0.8, 0.65) + 0.045 * noise(rng, 2, 1.4)
    coarse = 0.04 * noise(rng, 6, 5) + 0.025 * noise(rng, 4, 0.7)
    marks = rng.uniform(0, 0.045) * fibres(rng, 9)
    gain = rng.uniform(0.85, 1.25)
    depth = visibility * np.maximum(cracks, mesh_depth) * (1 + 0.3 * noise(rng, 0.9, 0.9))
    return level * light * (1 + gain * (grain + coarse) + marks) * (1 - depth)


def _spindle(
    field: Array, rng: Rng, centre: tuple[float, float], half_length: float, half_width: float
) -> None:
    """Lay one long pointed streak into `field`: the distance in px from its outline, inwards.

    Args:
        field: [row, column], negative outside the streaks laid so far.
        rng: shapes the outline.
        centre: row and column of the streak's middle.
        half_length: along the rows, in px.
        half_width: at the thickest point, in px.
    """
    y, x = centre
    t = (ROWS[:, 0] - y) / half_length
    skew = rng.uniform(-0.5, 0.5)
    taper = np.clip(1 - t**2, 0, 1) ** rng.uniform(0.5, 1.3) * (1 + skew * t)
    reach = half_width * taper * (1 + 0.25 * profile(rng, 6))
    middle = x + rng.uniform(-0.05, 0.05) * half_length * t + 0.3 * half_width * profile(rng, 12)
    rows = np.flatnonzero(np.abs(t) < 1)
    inside = reach[rows, None] - np.abs(COLUMNS - middle[rows, None])
    field[rows] = np.maximum(field[rows], inside)


def _slivers(field: Array, rng: Rng) -> Array:
    """Return how dark, 0 to 1, the streaks in `field` are: frayed along the rolling direction."""
    thickness = np.sqrt(np.maximum(field, 0) + 1)
    frayed = field + thickness * (0.35 * noise(rng, 8, 0.9) + 0.2 * noise(rng, 3, 2))
    uneven = 0.8 + 0.15 * noise(rng, 30, 20) + 0.06 * noise(rng, 5, 1)
    return uneven * ramp(frayed - 0.3, rng.uniform(2, 5.5))


def paint_inclusion(rng: Rng) -> Array:
    """Dark slivers of nonmetallic inclusions, rolled out lengthwise in smooth steel."""
    visibility = _visibility(rng)
    level = rng.uniform(150, 235) if rng.random() < 0.15 else rng.uniform(72, 130)
    outlines = np.full((SIZE_PX, SIZE_PX), -9.0)
    for _ in range(rng.integers(1, 6)):
        x, y = rng.uniform(10, SIZE_PX - 10, 2)
        width = rng.uniform(1.2, 2.4) if rng.random() < 0.55 else rng.uniform(2.4, 8)
        for _ in range(rng.integers(1, 8)):
            breadth = width * rng.uniform(0.45, 1)
            half_length = breadth * rng.uniform(3, 9) + rng.uniform(3, 18)
            along, aside = rng.standard_normal(2) * np.array([40, 2 + 1.6 * width])
            _spindle(outlines, rng, (y + along, x + aside), half_length, breadth)
            # The next one lies near this one's end: slivers come in chains.
            y = (y + rng.uniform(0.5, 1.5) * half_length) % SIZE_PX
    smear = ramp(noise(rng, 45, 5) - 1.3, 1.2) * rng.uniform(0, 0.16)
    light = lamp(rng, 0.22, 0.22) + 0.05 * noise(rng, 60, 60) + 0.02 * profile(rng, 6)
    grain = 0.018 * noise(rng, 0.9, 0.8) + 0.01 * noise(rng, 9, 0.9) + 0.014 * noise(rng, 9, 7)
    gain = rng.uniform(0.7, 1.6)
    depth = visibility * rng.uniform(0.3, 0.55)
    image = level * light * (1 + gain * grain) * (1 - smear) * (1 - depth * _slivers(outlines, rng))
    return image.T if rng.random() < 0.1 else image


def paint_patches(rng: Rng) -> Array:
    """Large dark blotches with soft ragged edges on glaring, coarse-grained steel."""
    visibility = _visibility(rng)
    level = rng.uniform(75, 130) if rng.random() < 0.22 else rng.uniform(150, 290)
    field = noise(rng, rng.uniform(16, 42), rng.uniform(12, 20)) + 0.14 * noise(rng, 4, 3)
    field += 0.07 * noise(rng, 1, 0.9)
    field -= np.quantile(field, 1 - rng.uniform(0.08, 0.6))
    blotch = ramp(field, rng.uniform(0.5, 1.2))
    # Scale is thickest just inside the edge of a blotch; its middle is often worn lighter.
    blotch *= 1 - rng.uniform(0, 0.3) * ramp(field - 1, 0.9)
    cluster = noise(rng, 12, 10)
    specks = ramp(noise(rng, 1.3, 1.4) + 0.9 * cluster - rng.uniform(3, 4.5), 1.2)
    light = 1 + 0.14 * profile(rng, 40) + 0.04 * profile(rng, 8) + 0.07 * noise(rng, 25, 20)
    grain = 0.1 * noise(rng, 0.85, 0.65) + 0.05 * noise(rng, 2, 1.4)
    coarse = 0.03 * noise(rng, 7, 1.2) + 0.05 * noise(rng, 6, 5)
    marks = rng.uniform(0, 0.045) * fibres(rng, 9)
    gain = rng.uniform(0.85, 1.3)
    depth = min(0.8, (0.3 + 0.7 * visibility) * rng.uniform(0.65, 0.85))
    image = level * light * (1 + gain * (grain + coarse) + marks) * (1 - depth * blotch)
    return image * (1 - 0.8 * specks)


def _pits(rng: Rng, density: Array) -> Array:
    """Return the depth of pits, 0 to 1; `density` is the local probability of pits."""
    # A jittered lattice: pits keep some distance from each other, unlike purely random points.
    spacing_px = rng.uniform(3.8, 7.5)
    lattice = np.arange(0, SIZE_PX, spacing_px)
    y, x = (axis.ravel() for axis in np.meshgrid(lattice, lattice, indexing="ij"))
    y, x = np.minimum(rng.random((2, y.size)) * spacing_px + (y, x), SIZE_PX - 1)
    pitted = rng.random(y.size) < density[y.astype(np.intp), x.astype(np.intp)]
    y, x = y[pitted], x[pitted]
    radius_px = spacing_px * rng.uniform(0.12, 0.22) * np.exp(0.3 * rng.standard_normal(y.size))
    radius_px = np.clip(radius_px, 0.6, 2)
    depth = rng.uniform(0.4, 1, y.size)
    canvas = np.zeros((SIZE_PX, SIZE_PX))
    # Two dots a pit, side by side, so that few are round.
    for _ in range(2):
        lean_y, lean_x = radius_px * (rng.standard_normal((2, y.size)) * ((0.8,), (0.5,)))
        stamp(canvas, y + lean_y, x + lean_x, radius_px, depth)
    return canvas


def _worn_steel(rng: Rng) -> tuple[Array, Array]:
    """Return the local probability of pits, and how much scale darkens the steel."""
    wear = rng.uniform(-1.2, 1.2) + 0.5 * noise(rng, 30, 25) + 0.3 * profile(rng, 20)
    scale = np.zeros((SIZE_PX, SIZE_PX))
    kind = rng.random()
    if kind < 0.2:  # the seam between two areas with different wear
        edge = rng.uniform(50, 150) + rng.uniform(-0.15, 0.15) * ROWS
        side = ramp(COLUMNS - edge - 1.2 * profile(rng, 5)[:, None], 2)
        wear = wear + rng.uniform(0.7, 2) * (side - 0.5)
        scale = rng.uniform(0, 0.25) * side
    elif kind < 0.38:  # flaked scale with a ragged edge
        ragged = noise(rng, 28, 22) + 0.25 * noise(rng, 4, 4) + 0.06 * noise(rng, 1.2, 1.2)
        scale = rng.uniform(0.12, 0.35) * ramp(ragged - rng.uniform(0.9, 1.7), 0.35)
        scale *= 1 + 0.2 * noise(rng, 2, 2)
    elif kind < 0.52:  # the mark of a roll's edge
        line = ROWS - rng.uniform(20, 180) - 1.5 * profile(rng, 50)
        scale = rng.uniform(0.1, 0.25) * np.exp(-0.5 * (line / rng.uniform(2, 4)) ** 2)
        scale *= 1 + 0.2 * noise(rng, 1, 4)
    return np.maximum(ramp(wear, 3), 0.03), scale


def paint_pitted(rng: Rng) -> Array:
    """Many small dark pits, in fields of differing density, on bright smooth steel."""
    visibility = _visibility(rng)
    level = 250 - 95 * rng.random() ** 1.3 if rng.random() < 0.85 else rng.uniform(75, 130)
    density, scale = _worn_steel(rng)
    pits = _pits(rng, density)
    if rng.random() < 0.4:
        size_px = rng.uniform(1.2, 2.2)
        flock = noise(rng, 1.2 * size_px, size_px) + 0.9 * noise(rng, 25, 12)
        pits = np.maximum(pits, ramp(flock - rng.uniform(2.6, 3.8), 2))
    light = lamp(rng, 0.3, 0.15) + 0.05 * noise(rng, 50, 50) + 0.015 * profile(rng, 3)
    grain = 0.018 * noise(rng, 0.9, 0.8) + 0.012 * noise(rng, 6, 1)
    depth = visibility * rng.uniform(0.25, 0.5) * (1 + 0.15 * noise(rng, 3, 3))
    return level * light * (1 + grain) * (1 - scale) * (1 - depth * pits)


def paint_rolled(rng: Rng) -> Array:
    """Short dark dashes of scale pressed in by the rolls, in flocks along the strip."""
    visibility = _visibility(rng)
    level = rng.uniform(65, 100) if rng.random() < 0.2 else rng.uniform(110, 158)
    flock = np.full((SIZE_PX, SIZE_PX), -2.0)
    for _ in range(rng.integers(1, 4)):
        centre = rng.uniform(15, SIZE_PX - 15) + rng.uniform(-0.15, 0.15) * ROWS
        band = 3 * np.exp(-0.5 * ((COLUMNS - centre) / rng.uniform(9, 28)) ** 2) - 2
        flock = np.maximum(flock, band)
    flock += 0.8 * noise(rng, 11, 9)
    dashes = noise(rng, rng.uniform(1, 1.3), rng.uniform(2.2, 3)) + 0.55 * flock
    scale = ramp(dashes - rng.uniform(1.6, 2.2), 2)
    crumbs = 0.5 * ramp(noise(rng, 0.9, 1.6) + 0.4 * flock - 2, 1.5)
    light = 1 + 0.08 * profile(rng, 26) + 0.04 * noise(rng, 16, 18) + 0.035 * noise(rng, 7, 16)
    grain = 0.045 * noise(rng, 0.5, 0.9) + 0.036 * noise(rng, 1, 3)
    coarse = rng.uniform(0.01, 0.04) * fibres(rng, 12) + 0.02 * noise(rng, 4, 5)
    gain = rng.uniform(0.8, 1.25)
    depth = visibility * rng.uniform(0.4, 0.55)
    image = level * light * (1 + gain * (grain + coarse))
    return image * (1 - depth * np.maximum(scale, crumbs))


def _furrow(rng: Rng, distance: Array, ridges: Array) -> Array:
    """Return the brightness of a broad gouge, torn open to bare metal with fine cross cracks."""
    ragged = rng.uniform(3.5, 10) + 0.5 * noise(rng, 9, 12) + 0.3 * noise(rng, 1, 12)
    body = ramp(ragged - np.abs(distance), rng.uniform(2, 4.5))
    cross_cracks = ramp(noise(rng, 0.7, 3) - 1.8, 1.2) * rng.uniform(0, 0.5)
    torn = 0.8 + 0.18 * np.clip(ridges, -2.5, 1) + 0.12 * noise(rng, 2, 1.2)
    return 1.4 * body * np.maximum(torn, 0) * (1 - cross_cracks)


def _scratch(rng: Rng, tilt: float) -> Array:
    """Return the brightness, 0 to about 1, of one gouge: a line, a sheaf of lines, or a furrow."""
    centre = rng.uniform(8, SIZE_PX - 8) + (tilt + rng.uniform(-0.01, 0.01)) * (ROWS[:, 0] - 100)
    distance = COLUMNS - (centre + 0.4 * profile(rng, 30))[:, None]
    # Ridges within the gouge follow its course.
    ridges = profile(rng, 0.8) + 0.6 * profile(rng, 2.5)
    ridges = np.interp(distance, np.arange(-100.0, 100.0), ridges)
    kind = rng.random()
    if kind < 0.55:
        half_width = rng.uniform(0.5, 1.2) * (1 + 0.15 * profile(rng, 6) + 0.1 * profile(rng, 1))
        body = np.exp(-0.5 * (distance / half_width[:, None]) ** 2)
        body *= 0.9 + 0.15 * noise(rng, 2, 3)
        gaps = rng.uniform(-0.3, 2.5)
    elif kind < 0.8:
        envelope = np.exp(-0.5 * (distance / rng.uniform(2.5, 7)) ** 2)
        body = 0.45 * np.maximum(ridges + 0.9, 0) * envelope * (1 + 0.12 * noise(rng, 3, 0.8))
        gaps = rng.uniform(1, 3)
    else:
        body = _furrow(rng, distance, ridges)
        gaps = rng.uniform(2.5, 4)
    along = ramp(profile(rng, rng.uniform(4, 45)) + gaps, 1.5)
    return body * along[:, None]


def paint_scratches(rng: Rng) -> Array:
    """Bright gouges, thin or broad, straight along or across dark smooth steel."""
    visibility = _visibility(rng)
    level = rng.uniform(38, 80) if rng.random() < 0.4 else rng.uniform(80, 135)
    gouges = np.zeros((SIZE_PX, SIZE_PX))
    tilt = rng.uniform(-0.05, 0.05)
    glare = rng.uniform(0.65, 1.2)
    for _ in range(rng.integers(1, 5)):
        gouges = np.maximum(gouges, glare * _scratch(rng, tilt))
        glare *= rng.uniform(0.3, 1)
    outlines = np.full((SIZE_PX, SIZE_PX), -9.0)
    for _ in range(rng.integers(0, 5)):
        y, x = rng.uniform(0, SIZE_PX, 2)
        _spindle(outlines, rng, (y, x), rng.uniform(5, 30), rng.uniform(0.8, 3))
    stains = rng.uniform(0, 0.35) * _slivers(outlines, rng)
    smudge = rng.uniform(-0.2, 0.3) * ramp(noise(rng, 8, 30) + 0.15 * noise(rng, 1, 6) - 1.7, 1.5)
    light = lamp(rng, 0.05, 0.25) + 0.1 * noise(rng, 60, 60) + 0.06 * profile(rng, 18)
    light = light + 0.02 * profile(rng, 3)
    grain = 0.022 * noise(rng, 0.9, 0.8) + 0.016 * noise(rng, 7, 1) + 0.03 * noise(rng, 10, 8)
    steel = level * light * (1 + grain) * (1 - np.maximum(smudge, 0)) * (1 - stains)
    image: Array = steel + 170 * visibility * gouges
    return image.T if rng.random() < 0.3 else image


PAINTERS: dict[str, Callable[[Rng], Array]] = {
    "Crazing": paint_crazing,
    "Inclusion": paint_inclusion,
    "Patches": paint_patches,
    "Pitted": paint_pitted,
    "Rolled": paint_rolled,
    "Scratches": paint_scratches,
}
