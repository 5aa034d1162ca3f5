"""Tables of class names: what they rename, leave out and refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.data.test_several_sources import write_images
from trainer.config.groups import DataConfig
from trainer.data.collection import with_mapped_classes
from trainer.data.folders.class_map import read_class_map, renamed
from trainer.data.folders.entries import File
from trainer.data.folders.location import Source
from trainer.data.folders.scan import check_layout
from trainer.data.sources import collect_images
from trainer.errors import DataError

SOURCES = [Source("../a", "folder", "a"), Source("ada/b", "hub", "ada/b")]


def table(tmp_path: Path, text: str) -> Path:
    (tmp_path / "map.csv").write_text(text, encoding="utf-8")
    return tmp_path / "map.csv"


def test_names_are_mapped_by_source_or_for_all(tmp_path: Path) -> None:
    file = table(
        tmp_path,
        "\ufeffname, class ,source\nRS,Rolled,\nPa,Patches,a\nPa,,ada/b\n\nCr,Crazing,../a\n",
    )
    found = read_class_map(file, SOURCES)
    assert found.of_source(SOURCES[0]) == {"RS": "Rolled", "Pa": "Patches", "Cr": "Crazing"}
    assert found.of_source(SOURCES[1]) == {"RS": "Rolled", "Pa": None}
    found.check({"a": ["Pa", "Cr", "other"], "ada/b": ["RS", "Pa"]})
    with pytest.raises(DataError, match=r"row 6: a has no class Cr, only Crs, Pa\."):
        found.check({"a": ["Pa", "Crs"], "ada/b": ["RS", "Pa"]})


def test_a_row_of_the_source_comes_before_one_for_all(tmp_path: Path) -> None:
    for lines in ("Pa,Patches,\nPa,Pitted,a\n", "Pa,Pitted,a\nPa,Patches,\n"):
        found = read_class_map(table(tmp_path, f"name,class,source\n{lines}"), SOURCES)
        assert [found.of_source(source)["Pa"] for source in SOURCES] == ["Pitted", "Patches"]


def test_without_a_table_names_stay() -> None:
    assert read_class_map(None, SOURCES).of_source(SOURCES[0]) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "row 1: the columns are nothing. They must be name and class"),
        ("name\nA\n", "row 1: the columns are name. They must be name and class"),
        ("name,class,sorce\nA,B,\n", "row 1: the columns are name, class, sorce."),
        ("name,class,class\nA,B,C\n", "row 1: the columns are name, class, class."),
        ("name,class\n", "it has no row below the header"),
        ("name,class\nA,B\nA,C\n", "row 3: A is in row 2 already. Remove one of them."),
        ("name,class\nA\n", "row 2: it has 1 cells instead of 2."),
        ("name,class\n,B\n", "row 2: the name is empty."),
        ("name,class\nA,B\u200bc\n", r"row 2: B\u200bc is no class name: it has invisible"),
        ("name,class,source\nA,B,c\n", "row 2: there is no source c, only a, ada/b."),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, text: str, said: str) -> None:
    file = table(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_class_map(file, SOURCES)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"--class-map {file} can't be used:\n")


def test_what_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is no CSV text"):
        read_class_map(tmp_path / "map.csv", SOURCES)
    with pytest.raises(DataError, match="can't be read"):
        read_class_map(tmp_path, SOURCES)


names = st.sampled_from("ABCD")
maps = st.dictionaries(names, st.none() | names)


@given(
    counts=st.dictionaries(names, st.integers(1, 4), min_size=1),
    tested=st.dictionaries(names, st.integers(1, 4)),
    classes=maps,
)
def test_no_image_is_lost(
    counts: dict[str, int], tested: dict[str, int], classes: dict[str, str | None]
) -> None:
    """Each image is in the class that its name means, or counted as left out."""
    splits = {
        split: {
            label: [File("", f"{split}/{label}/{n}", None) for n in range(own[label])]
            for label in own
        }
        for split, own in (("train", counts), ("test", tested))
    }
    found, left_out = renamed(splits, classes)
    for split, own in found.items():
        for label, files in own.items():
            for file in files:
                name = file.name.split("/")[1]
                assert file.name.startswith(split)
                assert classes.get(name, name) == label
    dropped = {
        label: counts.get(label, 0) + tested.get(label, 0)
        for label in counts.keys() | tested.keys()
        if classes.get(label, label) is None
    }
    assert left_out == dropped
    kept = sum(len(files) for own in found.values() for files in own.values())
    assert kept + sum(left_out.values()) == sum(counts.values()) + sum(tested.values())


def test_a_dataset_of_the_hub_is_mapped_as_a_folder_is() -> None:
    features = Features(label=ClassLabel(names=["A", "B", "C"]), file=Value("string"))
    rows = {"label": [0, 1, 2, 1, 0], "file": list("vwxyz")}
    splits = DatasetDict(train=Dataset.from_dict(rows, features=features))
    mapped, left_out = with_mapped_classes(splits, {"A": "C", "B": None})
    assert left_out == {"B": 2}
    assert mapped["train"].features["label"].names == ["C"]
    assert mapped["train"].to_dict() == {"file": ["v", "x", "z"], "label": [0, 0, 0]}
    same, left_out = with_mapped_classes(splits, {})
    assert (same, left_out) == (splits, {})


def test_two_sources_with_other_names_become_one_collection(tmp_path: Path) -> None:
    for number, place in enumerate(("plant/Crazing", "plant/Dirt", "lab/Cr", "lab/Pa")):
        write_images(tmp_path / place, 4, 50 * number)
    file = table(tmp_path, "name,class,source\nCr,Crazing,lab\nPa,Patches,\nDirt,,plant\n")
    config = DataConfig(data_dir=(str(tmp_path / "plant"), str(tmp_path / "lab")), class_map=file)
    check_layout(config)
    found = collect_images(config)
    assert found.labels == ["Crazing", "Patches"]
    assert found.problems == []
    assert [record.left_out for record in found.sources] == [{"Dirt": 4}, {}]
    assert [record.names for record in found.sources] == [["Crazing", "Dirt"], ["Cr", "Pa"]]
    train = found.splits["train"]
    assert {
        (file.rpartition("/")[0], found.labels[label])
        for file, label in zip(train["file"][:], train["label"][:], strict=True)
    } == {("plant/Crazing", "Crazing"), ("lab/Cr", "Crazing"), ("lab/Pa", "Patches")}
    table(tmp_path, "name,class\nCrs,Crazing\n")
    with pytest.raises(DataError, match=r"row 2: the data has no class Crs, .* Did you mean Cr"):
        check_layout(config)
