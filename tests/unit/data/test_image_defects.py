"""The defects of each image: its class and those of its boxes, as targets and as strata."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tests.support.two_defects import boxes_of
from trainer.config.groups import DataConfig
from trainer.data.image_defects import (
    COLUMN,
    is_multi_label,
    shown_classes,
    strata,
    targets,
    with_defects,
)
from trainer.data.splits.split import divide
from trainer.data.voc_boxes import BoxFolders
from trainer.errors import DataError

CLASSES = ["Dots", "Lines", "Rolled"]


def split(files: dict[str, int], groups: list[int] | None = None) -> DatasetDict:
    rows = {
        "file": list(files),
        "label": list(files.values()),
        "group": groups or list(range(len(files))),
    }
    features = Features(file=Value("string"), label=ClassLabel(names=CLASSES), group=Value("int64"))
    return DatasetDict(train=Dataset.from_dict(rows, features=features))


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    for stem, defects in {
        "a": ("Dots",),
        # The image is in the folder of Lines; no box shows them.
        "b": ("Rolled", "Dots"),
        "c": ("Rolled", "Rolled"),
    }.items():
        (tmp_path / f"{stem}.xml").write_text(boxes_of(defects))
    return tmp_path


FILES = {"Dots/a.png": 0, "Lines/b.png": 1, "Rolled/c.png": 2, "Rolled/d.png": 2}


def test_an_image_shows_its_class_and_those_of_its_boxes(boxes: Path) -> None:
    images = split(FILES)
    assert not is_multi_label(images["train"])
    assert targets(images["train"]) == [0, 1, 2, 2]
    marked = with_defects(images, BoxFolders({"": boxes}))["train"]
    assert is_multi_label(marked)
    assert marked[COLUMN][:] == [[0], [0, 1, 2], [2], [2]]
    assert targets(marked) == [[1, 0, 0], [1, 1, 1], [0, 0, 1], [0, 0, 1]]
    assert shown_classes(marked).sum(axis=0).tolist() == [2, 1, 3]


def test_boxes_that_teach_nothing_are_refused(boxes: Path) -> None:
    with pytest.raises(DataError, match="Name their folder with --boxes"):
        with_defects(split(FILES), BoxFolders())
    one_class = split({name: label for name, label in FILES.items() if label != 1})
    with pytest.raises(DataError, match="no image shows defects of several classes"):
        with_defects(one_class, BoxFolders({"": boxes}))
    (boxes / "d.xml").write_text(boxes_of(("Dots",)).replace("dots", "burr"))
    with pytest.raises(DataError, match=r"no class is named like these boxes: burr \(1 box\)"):
        with_defects(split(FILES), BoxFolders({"": boxes}))


def test_common_sets_of_defects_are_spread_over_the_splits(tmp_path: Path) -> None:
    files: dict[str, int] = {}
    for label, name in enumerate(CLASSES):
        for number in range(40):
            files[f"{name}/{name}_{number}.png"] = label
            defects = (name, "Rolled") if label == 0 and number >= 30 else (name,)
            if (label, number) == (1, 0):
                defects = ("Lines", "Dots")
            (tmp_path / f"{name}_{number}.xml").write_text(boxes_of(defects))
    images = with_defects(split(files), BoxFolders({"": tmp_path}))
    found = strata(images["train"], 10)
    # Ten images are a stratum of their own; a single one counts as its class.
    assert [found.count(number) for number in range(4)] == [30, 40, 40, 10]
    assert set(strata(images["train"], 11)) == {0, 1, 2}
    for seed in range(3):
        splits, _, _ = divide(images, DataConfig(test_fraction=0.2), seed)
        several = sum(shown == [0, 2] for shown in splits["test"][COLUMN][:])
        assert several == 2
        assert len(splits["test"]) == 24


def table(folder: Path, *lines: str) -> Path:
    file = folder / "defects.csv"
    file.write_text("\n".join(["file,classes", *lines]) + "\n")
    return file


GOOD = ("Dots/a.png,Dots", "Lines/b.png,Lines; Dots", "Rolled/c.png,Rolled", "Rolled/d.png,Rolled")


def test_a_table_names_the_classes_of_each_image(tmp_path: Path) -> None:
    marked = with_defects(split(FILES), table(tmp_path, *GOOD))["train"]
    assert marked[COLUMN][:] == [[0], [0, 1], [2], [2]]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (GOOD[:3], "lacks 1 image: Rolled/d.png"),
        ((*GOOD, "Rolled/e.png,Rolled"), "line 6: there is no image Rolled/e.png"),
        ((*GOOD, GOOD[0]), "line 6: Dots/a.png is named twice"),
        (("Dots/a.png,Dots;Burr", *GOOD[1:]), "line 2: no class is called Burr"),
        (("Dots/a.png,Lines", *GOOD[1:]), "line 2: Dots/a.png has the class Dots, which its"),
        (("Dots/a.png", *GOOD[1:]), "line 2: Dots/a.png has the class Dots"),
    ],
)
def test_a_table_that_does_not_match_is_refused(
    lines: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        with_defects(split(FILES), table(tmp_path, *lines))


def test_a_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "defects.csv"
    file.write_text("image,labels\n")
    with pytest.raises(DataError, match="needs a first line with the columns file and classes"):
        with_defects(split(FILES), file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is no CSV text"):
        with_defects(split(FILES), file)
