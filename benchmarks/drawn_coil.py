"""Draw coils: strips with a known number of defects, photographed in overlapping crops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.drawn_strips import SURFACES, Shot
from trainer.synthetic.brushes import Array, Rng

NO_DEFECT = "none"
CROP_PX, HEIGHT_PX, LENGTH_PX = 200, 220, 2400
# Half of each crop is in the next one, as cameras above a strip are set.
STEP_PX = 100
GRAINS = ("plain", "clouds")
# The camera wanders across the strip, and some images are stored turned.
TURNED_SHARE = 0.1
# A defect of which less is in a crop is not visible there.
VISIBLE_SHARE = 0.4


def _scratch(rng: Rng, y: Array, x: Array) -> Array:
    """Return a bright line, up to 3 px wide, mostly along the strip."""
    angle = rng.uniform(-0.5, 0.5)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    inside = np.abs(along) < rng.uniform(18, 32)
    profile: Array = np.exp(-((across / rng.uniform(1.0, 1.8)) ** 2))
    line: Array = rng.uniform(40, 70) * inside * profile
    return line


def _spot(rng: Rng, y: Array, x: Array) -> Array:
    """Return a dark spot of 5 to 9 px radius."""
    dark: Array = np.clip(rng.uniform(5, 9) - np.hypot(y, x), 0, 1)
    return -rng.uniform(40, 70) * dark


def _stain(rng: Rng, y: Array, x: Array) -> Array:
    """Return a broad soft stain, brighter than the surface."""
    distance = (y / rng.uniform(12, 20)) ** 2 + (x / rng.uniform(14, 24)) ** 2
    profile: Array = np.exp(-distance)
    return rng.uniform(30, 50) * profile


DEFECTS: dict[str, Callable[[Rng, Array, Array], Array]] = {
    "scratch": _scratch,
    "spot": _spot,
    "stain": _stain,
}
LABELS = sorted([NO_DEFECT, *DEFECTS])
# Gray levels of a defect's outline.
FAINTEST = 12.0


@dataclass(frozen=True)
class Drawn:
    """A defect on a strip.

    Attributes:
        label: its class.
        mask: where it is, [y, x] of the strip.
    """

    label: str
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Strip:
    """A drawn strip.

    Attributes:
        levels: gray levels, [y, x].
        defects: on it.
        shots: the crops, along the strip.
    """

    levels: Array
    defects: list[Drawn]
    shots: list[Shot]

    def label(self, shot: Shot) -> str:
        """Return the class of the defect that is most completely in a crop."""
        shares = [shot.of(d.mask).sum() / d.mask.sum() for d in self.defects]
        best = int(np.argmax(shares)) if shares else 0
        if not shares or shares[best] < VISIBLE_SHARE:
            return NO_DEFECT
        return self.defects[best].label

    def heat(self, shot: Shot, label: str) -> Array:
        """Return where a perfect network would see a class in a crop: 1 on defects, else 0."""
        whole = np.zeros(self.levels.shape)
        for defect in self.defects:
            if defect.label == label:
                whole[defect.mask] = 1
        return shot.of(whole)


def draw_strip(rng: Rng, apart_px: float, length_px: int = LENGTH_PX) -> Strip:
    """Draw a strip whose defects are at least `apart_px` from each other, centre to centre."""
    size = (HEIGHT_PX, length_px)
    levels = SURFACES[GRAINS[rng.integers(len(GRAINS))]](rng, size, rng.uniform(2, 4))
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float64)
    defects: list[Drawn] = []
    x = rng.uniform(30, 30 + apart_px)
    while x < length_px - 30:
        label = str(rng.choice(list(DEFECTS)))
        painted = DEFECTS[label](rng, rows - rng.uniform(40, HEIGHT_PX - 40), columns - x)
        levels = levels + painted
        defects.append(Drawn(label, np.abs(painted) > FAINTEST))
        x += apart_px + rng.exponential(apart_px / 2)
    shots = [
        Shot(
            int(rng.integers(HEIGHT_PX - CROP_PX + 1)),
            at,
            CROP_PX,
            CROP_PX,
            turn=int(rng.integers(8)) if rng.random() < TURNED_SHARE else 0,
            brightness=rng.uniform(0.95, 1.05),
        )
        for at in range(0, length_px - CROP_PX + 1, STEP_PX)
    ]
    return Strip(levels, defects, shots)


def write_training_images(folder: Path, rng: Rng, per_class: int, apart_px: float) -> None:
    """Write crops of further strips into a folder for each class."""
    missing = dict.fromkeys(LABELS, per_class)
    for label in LABELS:
        (folder / label).mkdir(parents=True)
    while any(missing.values()):
        strip = draw_strip(rng, apart_px)
        # Every second crop: training images need not overlap.
        for shot in strip.shots[:: CROP_PX // STEP_PX]:
            label = strip.label(shot)
            if missing[label]:
                picture = Image.fromarray(shot.taken(strip.levels))
                picture.save(folder / label / f"{missing[label]:04}.png")
                missing[label] -= 1
