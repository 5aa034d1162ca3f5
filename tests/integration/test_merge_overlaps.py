"""predict.py --merge-overlaps: crops of two surfaces become two strips, tables and counts."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.drawn_strips import SURFACES, Shot
from tests.conftest import Run

STEP_PX, CROPS, SIDE_PX = 48, 4, 96
# The third crop of the first surface is stored turned.
TURNED = 5


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of two surfaces in turn, one of a third, and a file that is no image."""
    folder = tmp_path_factory.mktemp("crops")
    rng = np.random.default_rng(4)
    length = SIDE_PX + STEP_PX * (CROPS - 1)
    for surface in "ab":
        levels = SURFACES["busy"](rng, (SIDE_PX + 8, length), 5.0)
        for n in range(CROPS):
            turn = TURNED if (surface, n) == ("a", 2) else 0
            shot = Shot(2 * n, STEP_PX * n, SIDE_PX, SIDE_PX, turn)
            Image.fromarray(shot.taken(levels)).save(folder / f"{n}{surface}.png")
    alone = SURFACES["busy"](rng, (SIDE_PX, SIDE_PX), 5.0)
    Image.fromarray(Shot(0, 0, SIDE_PX, SIDE_PX).taken(alone)).save(folder / "9.png")
    (folder / "5.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def sure(package: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model without a decision, which accepts every answer."""
    folder = tmp_path_factory.mktemp("model") / "sure"
    shutil.copytree(package, folder, ignore=shutil.ignore_patterns("decision.*"))
    return f"local-dir:{folder}"


def table(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_crops_are_laid_out_and_counted(
    command: Run, sure: str, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call = [
        "predict.py",
        str(images),
        "--model",
        sure,
        "--engine",
        "pytorch",
        "--cache-dir",
        "cache",
    ]
    call += ["--merge-overlaps", "--output", "out.csv"]
    assert command(*call, "--strips", "strips.csv")[0] == 0
    strips = table("strips.csv")
    sizes = [(row["images"], row["width_px"], row["height_px"]) for row in strips]
    assert sizes == [("4", "240", "102"), ("4", "240", "102"), ("1", "96", "96")]
    places = [
        (Path(row["path"]).name, row["strip"], row["x"], row["y"], row["turn"])
        for row in table("strips.images.csv")
    ]
    expected = [
        (f"{n}{surface}.png", strip, str(STEP_PX * n), str(2 * n))
        for strip, surface in (("1", "a"), ("2", "b"))
        for n in range(CROPS)
    ]
    assert [place[:4] for place in places] == [*expected, ("9.png", "3", "0", "0")]
    # What undoes a turn by 90° clockwise is one by 90° counterclockwise.
    assert [place[4] for place in places] == ["0", "0", "6", *"000000"]
    assert "3 pieces of surface, 1 of them with a single image." in caplog.text

    rows = [row for row in table("out.csv") if row["verdict"] == "class"]
    assert rows, "no image has an accepted answer"
    assert sum(int(row["images_with_defect"]) for row in strips) == len(rows)
    defects = table("strips.defects.csv")
    assert len(defects) == sum(int(row["defects"]) for row in strips) > 0
    accepted = {row["label"] for row in rows}
    assert {row["label"] for row in defects} <= accepted

    # Resumed, all answers come from the table, and nothing differs; JSON says the same.
    assert command(*call, "--resume", "--strips", "strips.json")[0] == 0
    said = json.loads(Path("strips.json").read_text())
    assert [strip["width_px"] for strip in said["strips"]] == [240, 240, 96]
    found = [
        (str(strip["strip"]), each["label"], str(each["x"]), str(len(each["images"])))
        for strip in said["strips"]
        for each in strip["defects"]
    ]
    assert found == [(d["strip"], d["label"], d["x"], d["images"]) for d in defects]
    assert list(Path("cache/overlaps").rglob("overlaps.json")), "the search is cached"


def test_wrong_options_are_explained(command: Run, sure: str, images: Path) -> None:
    call = ("predict.py", str(images), "--model", sure, "--engine", "pytorch", "--strips")
    code, _, err = command(*call, "strips.csv")
    assert code == 2 and "--strips needs --merge-overlaps." in err
    code, _, err = command(*call, "strips.xlsx", "--merge-overlaps")
    assert code == 2 and "has none of the suffixes .csv, .json" in err
    merged = (*call, "strips.csv", "--merge-overlaps", "--output", "strips.defects.csv")
    code, _, err = command(*merged)
    assert code == 2 and "--strips writes strips.defects.csv, as another option does." in err


def test_without_overlaps_every_image_is_a_strip(
    command: Run, sure: str, images: Path, tmp_path: Path
) -> None:
    for name in ("0a.png", "0b.png", "9.png"):
        shutil.copy(images / name, tmp_path)
    files = [str(tmp_path / name) for name in ("0a.png", "0b.png", "9.png")]
    call = ("predict.py", *files, "--model", sure, "--engine", "pytorch", "--merge-overlaps")
    assert command(*call, "--cache-dir", "cache", "--strips", "strips.csv")[0] == 0
    assert [row["images"] for row in table("strips.csv")] == ["1", "1", "1"]


def test_where_no_image_can_be_read_there_is_no_strip(
    command: Run, sure: str, images: Path
) -> None:
    call = ("predict.py", str(images / "5.png"), "--model", sure, "--merge-overlaps")
    reports = ("--strips", "strips.csv", "--report", "page.html", "--cache-dir", "cache")
    assert command(*call, *reports)[0] == 0
    assert table("strips.csv") == table("strips.defects.csv") == []
    assert "0 pieces of surface" in Path("page.html").read_text()
