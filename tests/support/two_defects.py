"""Drawn images of one or two defects with boxes, which a tiny network learns in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("Dots", "Lines", "Rolled")
# Each class darkens another part of a gray 32-pixel image.
PLACES = {"Dots": (slice(2, 12), slice(2, 12)), "Lines": (slice(20, 30), slice(2, 30))}
PLACES["Rolled"] = (slice(2, 12), slice(20, 30))
LEVELS = {"Dots": 20, "Lines": 240, "Rolled": 60}
BOX = (
    "<object><name>{name}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
    "<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
)


def draw(defects: tuple[str, ...], seed: int, side: int = 32) -> Image.Image:
    """Return a gray image with each of the defects in its place."""
    rng = np.random.default_rng(seed)
    levels = 128 + 12 * rng.standard_normal((side, side))
    for name in defects:
        levels[PLACES[name]] = LEVELS[name] + 12 * rng.standard_normal(levels[PLACES[name]].shape)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).convert("RGB")


def write_images(folder: Path, one: int = 12, two: int = 6) -> list[tuple[str, tuple[str, ...]]]:
    """Write images into class folders, and a box for each of their defects beside them.

    Args:
        folder: to create `images` and `boxes` in.
        one: images of each class alone.
        two: images of each class with the next one.

    Returns:
        name and defects of each image, the class of its folder first.
    """
    written: list[tuple[str, tuple[str, ...]]] = []
    for place, name in enumerate(CLASSES):
        for number in range(one + two):
            defects = (name, CLASSES[(place + 1) % 3]) if number >= one else (name,)
            stem = f"{name.lower()}_{number:02}"
            for kind, file in (("images", f"{name}/{stem}.png"), ("boxes", f"{stem}.xml")):
                (folder / kind / file).parent.mkdir(parents=True, exist_ok=True)
            draw(defects, 100 * place + number).save(folder / "images" / name / f"{stem}.png")
            (folder / "boxes" / f"{stem}.xml").write_text(boxes_of(defects))
            written.append((f"{name}/{stem}.png", defects))
    return written


def boxes_of(defects: tuple[str, ...], side: int = 32) -> str:
    """Return the Pascal VOC file of an image with these defects."""
    objects = [
        BOX.format(
            name=name.lower(),
            left=columns.start + 1,
            right=columns.stop,
            top=rows.start + 1,
            bottom=rows.stop,
        )
        for name, (rows, columns) in ((name, PLACES[name]) for name in defects)
    ]
    size = f"<size><width>{side}</width><height>{side}</height><depth>1</depth></size>"
    return f"<annotation>{size}{''.join(objects)}</annotation>"
