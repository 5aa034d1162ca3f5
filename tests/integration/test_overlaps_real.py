"""The overlap search on real photographs of steel strip, where they lie beside the checkout."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.brute_force import strict_pairs
from benchmarks.drawn_strips import Pixels
from trainer.data.overlap_search import Overlap, find_overlaps

NEU = Path(__file__).parents[3] / "shared" / "data" / "neu"
IMAGES_PER_CLASS = 40

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(
        not NEU.is_dir(),
        reason="the real photographs are research data that lie beside the project, not in it",
    ),
]


def photographs(*classes: str) -> dict[str, Pixels]:
    """Return the gray images of some classes by the stems of their file names, in number order."""
    files = [file for name in classes for file in (NEU / "images" / name).glob("*.jpg")]
    files.sort(key=lambda file: (file.parent, int(file.stem.rsplit("_", 1)[1])))
    images = {}
    for file in files:
        with Image.open(file) as image:
            images[file.stem] = np.asarray(image.convert("L"))
    return images


def search(images: list[Pixels]) -> dict[tuple[int, int], Overlap]:
    found = find_overlaps(np.array([image.shape for image in images]), images.__getitem__)
    return {(pair.a, pair.b): pair for pair in found}


def found_as_told(
    found: dict[tuple[int, int], Overlap], a: int, b: int, shift_y: int, shift_x: int
) -> bool:
    """Return whether a pair was found, unturned, where it is said to lie."""
    if a > b:
        a, b, shift_y, shift_x = b, a, -shift_y, -shift_x
    pair = found.get((a, b))
    return (
        pair is not None
        and pair.turn == 0
        and abs(pair.shift_y - shift_y) <= 1
        and abs(pair.shift_x - shift_x) <= 1
    )


def test_finds_the_listed_pairs_of_two_classes() -> None:
    images = photographs("Crazing", "Patches")
    assert len(images) == 480
    found = search(list(images.values()))
    place = {stem: index for index, stem in enumerate(images)}
    list_file = NEU / "overlapping-pairs-crazing-and-patches.csv"
    with list_file.open(encoding="utf-8", newline="") as opened:
        listed = list(csv.DictReader(opened))
    hits = [
        found_as_told(
            found,
            place[row["image_a"]],
            place[row["image_b"]],
            int(row["shift_y"]),
            int(row["shift_x"]),
        )
        for row in listed
    ]
    assert len(hits) > 200
    assert np.mean(hits) >= 0.99
    stems = list(images)
    across = [pair for pair in found if stems[pair[0]][0] != stems[pair[1]][0]]
    assert across == []


@pytest.mark.parametrize("name", ["Inclusion", "Pitted", "Rolled", "Scratches"])
def test_finds_what_brute_force_finds_in_the_other_classes(name: str) -> None:
    images = list(photographs(name).values())[:IMAGES_PER_CLASS]
    expected = strict_pairs(images)
    found = search(images)
    hits = [found_as_told(found, pair.a, pair.b, pair.shift_y, pair.shift_x) for pair in expected]
    assert len(hits) >= 5
    assert np.mean(hits) >= 0.99
