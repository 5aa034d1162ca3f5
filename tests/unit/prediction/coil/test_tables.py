"""Tables of a coil: each number stands in its own column."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from trainer.prediction.coil.crop import Crop
from trainer.prediction.coil.defects import Defect
from trainer.prediction.coil.strips import Place, Strip
from trainer.prediction.coil.tables import write_strips
from trainer.prediction.coil.view import Coil, Piece


@pytest.fixture
def coil() -> Coil:
    """One strip of two images, whose numbers all differ."""
    places = (Place(0, 0, 0, 0, 20, 30), Place(1, 3, 1, 25, 21, 31))
    defects = [Defect("Scratch", 4, 5, 6, 7, (0, 1)), Defect("Scratch", 8, 9, 10, 11, (1,))]
    outcomes = Counter({"class": 13, "unsure": 14, "unknown": 15})
    piece = Piece(1, Strip(places, 22, 56), defects, Counter(Scratch=3, Patch=12), outcomes)
    crops = [Crop(f"{name}.png", f"{name}.png", "class", "Scratch") for name in "ab"]
    return Coil(crops, [piece], ["Patch", "Scratch"], 0, with_heat=True)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as opened:
        return list(csv.DictReader(opened))


def test_each_number_stands_in_its_column(coil: Coil, tmp_path: Path) -> None:
    write_strips(coil, tmp_path / "coil.csv")
    [strip] = _rows(tmp_path / "coil.csv")
    numbers = {name: int(value) for name, value in strip.items()}
    assert numbers == {
        "strip": 1,
        "images": 2,
        "width_px": 56,
        "height_px": 22,
        "defects": 2,
        "images_with_defect": 15,
        "defects(Patch)": 0,
        "defects(Scratch)": 2,
        "images(Patch)": 12,
        "images(Scratch)": 3,
        "unsure": 14,
        "unknown": 15,
    }
    second = _rows(tmp_path / "coil.images.csv")[1]
    assert second == {"path": "b.png", "strip": "1", "x": "25", "y": "1", "turn": "3"}
    first, last = _rows(tmp_path / "coil.defects.csv")
    assert (first["label"], first["images"], last["images"]) == ("Scratch", "2", "1")
    box = [last[name] for name in ("x", "y", "width_px", "height_px")]
    assert box == ["9", "8", "11", "10"]


def test_json_holds_the_same_numbers(coil: Coil, tmp_path: Path) -> None:
    write_strips(coil, tmp_path / "coil.json")
    [strip] = json.loads((tmp_path / "coil.json").read_text(encoding="utf-8"))["strips"]
    assert strip["defects_once"] == {"Scratch": 2}
    assert strip["images_by_defect"] == {"Scratch": 3, "Patch": 12}
    assert (strip["unsure"], strip["unknown"]) == (14, 15)
    assert [defect["images"] for defect in strip["defects"]] == [["a.png", "b.png"], ["b.png"]]
