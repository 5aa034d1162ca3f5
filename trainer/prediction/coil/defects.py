"""Count each defect of a strip once, however many images show it.

An image classifier names a class for a whole image; its heatmap shows where. A defect is a
connected region of a strip that is hot in the images with its class: their heatmaps are laid onto
the strip and averaged, so that a place that one image alone finds hot, and its neighbors do not,
counts less. Each image with an accepted defect keeps at least its hottest region. Without heatmaps
the whole image is the region.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from trainer.data.overlap_search.orientations import Array, turned
from trainer.prediction.coil.strips import Place, Strip

# Cells along the longer side of an image; heatmaps are no finer.
CELLS = 64
# The measurement behind these: docs/results/coil.md.
# A region has hot cells, and reaches over the warm ones beside them: long defects stay whole.
HOT, WARM = 0.25, 0.1
# As shares of the longer side of an image: gaps that do not separate, and hot regions too small.
SMALLEST_GAP = 0.1
SMALLEST_SIDE = 0.04

EIGHT = np.ones((3, 3), bool)

Explain = Callable[[int, str], Array]


@dataclass(frozen=True)
class Defect:
    """A region of a strip where its images show a defect.

    Attributes:
        label: its class.
        y: of the upper edge of its bounding box on the strip, in px.
        x: of the left edge, in px.
        height: of that box, in px.
        width: in px.
        images: that have its class and show some of it.
    """

    label: str
    y: int
    x: int
    height: int
    width: int
    images: tuple[int, ...]


def find_defects(
    strip: Strip, labels: Sequence[str | None], explain: Explain | None
) -> list[Defect]:
    """Return the defects of a strip, ordered by class, then from left to right.

    Args:
        strip: its images.
        labels: the defect that each image shows as a whole; None for no defect.
        explain: returns the heatmap of an image for a class, 0 to 1, [row, column] of any size.
            None takes the whole image.
    """
    found = []
    for label in sorted({labels[place.image] for place in strip.places} - {None}, key=str):
        places = [place for place in strip.places if labels[place.image] == label]
        found += _regions(places, str(label), explain)
    return found


def _regions(places: list[Place], label: str, explain: Explain | None) -> list[Defect]:
    """Return the hot regions of the images of one class."""
    side = float(np.median([max(place.height, place.width) for place in places]))
    step = max(1.0, side / CELLS)
    top, left = min(place.y for place in places), min(place.x for place in places)
    boxes = [_cells(place, top, left, step) for place in places]
    size = max(box[0].stop for box in boxes), max(box[1].stop for box in boxes)
    heat, looks = np.zeros(size, np.float32), np.zeros(size, np.float32)
    maps = []
    for place, box in zip(places, boxes, strict=True):
        own = np.ones_like(heat[box])
        if explain is not None:
            own = _fitted(explain(place.image, label), place, own)
        maps.append(own)
        heat[box] += own
        looks[box] += 1
    reach = round(SMALLEST_GAP * side / step / 2)
    mean = heat / np.maximum(looks, 1)
    inside = mean >= WARM
    regions = _joined(inside, reach)
    hot_cells = np.bincount(regions[mean >= HOT], minlength=regions.max() + 1)
    inside &= (hot_cells >= (SMALLEST_SIDE * side / step) ** 2)[regions]
    for own, box in zip(maps, boxes, strict=True):
        if not inside[box].any():
            inside[box] |= _hottest(own)
    regions = _joined(inside, reach)
    defects = []
    for number, box in enumerate(ndimage.find_objects(regions), 1):
        y, x = (round(edge.start * step) for edge in box)
        height, width = (round((edge.stop - edge.start) * step) for edge in box)
        images = tuple(
            place.image
            for place, cells in zip(places, boxes, strict=True)
            if (regions[cells] == number).any()
        )
        defects.append(Defect(label, top + y, left + x, height, width, images))
    return sorted(defects, key=lambda defect: (defect.x, defect.y))


def _joined(inside: Array, reach: int) -> Array:
    """Number the regions of cells from 1; those less than twice `reach` apart are one."""
    near = ndimage.binary_dilation(inside, EIGHT, reach) if reach else inside
    regions: Array = ndimage.label(near, EIGHT)[0]
    regions[~inside] = 0
    return regions


def _hottest(heat: Array) -> Array:
    """Return the cells around the maximum of a heatmap; all cells if it is the same everywhere."""
    regions = ndimage.label(heat >= HOT * heat.max(), EIGHT)[0]
    around: Array = regions == regions.flat[heat.argmax()]
    return around


def _cells(place: Place, top: int, left: int, step: float) -> tuple[slice, slice]:
    """Return the cells that an image covers, at least one."""
    y, x = round((place.y - top) / step), round((place.x - left) / step)
    rows, columns = (max(1, round(px / step)) for px in (place.height, place.width))
    return slice(y, y + rows), slice(x, x + columns)


def _fitted(heat: Array, place: Place, cells: Array) -> Array:
    """Return a heatmap as its image lies on the strip, at the size of its cells."""
    rows, columns = cells.shape
    picture = Image.fromarray(turned(heat, place.turn).astype(np.float32))
    return np.asarray(picture.resize((columns, rows), Image.Resampling.BOX))
