"""Pascal VOC files are read as written, and refused by name where they can't be."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.voc_boxes import (
    Box,
    BoxFolders,
    _file_of,
    mask,
    match_class,
    read_boxes,
    read_voc,
)
from trainer.errors import DataError


def voc(*boxes: tuple[str, int, int, int, int], width: int = 200, height: int = 100) -> bytes:
    root = ET.Element("annotation")
    size = ET.SubElement(root, "size")
    for key, value in (("width", width), ("height", height), ("depth", 1)):
        ET.SubElement(size, key).text = str(value)
    for name, *corners in boxes:
        entry = ET.SubElement(root, "object")
        ET.SubElement(entry, "name").text = name
        box = ET.SubElement(entry, "bndbox")
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            ET.SubElement(box, key).text = str(value)
    content: bytes = ET.tostring(root)
    return content


def test_corners_count_from_one_and_both_belong_to_the_box(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(voc(("scratches", 1, 1, 100, 50), ("x", 101, 100, 101, 100)))
    assert read_voc(tmp_path / "a.xml") == [
        Box("scratches", 0, 0, 0.5, 0.5),
        Box("x", 0.5, 0.99, 0.505, 1),
    ]


def test_boxes_that_count_from_zero_or_reach_out_are_cut_to_the_image(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(voc(("patches", 0, 0, 220, 120)))
    assert read_voc(tmp_path / "a.xml") == [Box("patches", 0, 0, 1, 1)]


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 30)).flatmap(
        lambda size: st.tuples(
            st.just(size),
            st.lists(
                st.tuples(
                    *[st.tuples(st.integers(1, n), st.integers(1, n)).map(sorted) for n in size]
                ),
                max_size=4,
            ),
        )
    )
)
def test_a_mask_covers_exactly_the_pixels_of_the_boxes(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: tuple[tuple[int, int], list[tuple[list[int], list[int]]]],
) -> None:
    (width, height), spans = drawn
    file = tmp_path_factory.mktemp("voc") / "a.xml"
    boxes = [("a", x[0], y[0], x[1], y[1]) for x, y in spans]
    file.write_bytes(voc(*boxes, width=width, height=height))
    expected = np.zeros((height, width), bool)
    for _, left, top, right, bottom in boxes:
        expected[top - 1 : bottom, left - 1 : right] = True
    assert np.array_equal(mask(read_voc(file), height, width), expected)


GOOD = voc(("scratches", 10, 10, 20, 20))
# "Billion laughs": three hundred bytes that stand for gigabytes.
LAUGHS = (
    "<!DOCTYPE a [<!ENTITY e0 'ha'>"
    + "".join(f"<!ENTITY e{n + 1} '{f'&e{n};' * 10}'>" for n in range(10))
    + "]><annotation>&e10;</annotation>"
).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no element"),
        (GOOD[:-30], "line 1"),
        (b"\x89PNG\r\n", "not well-formed"),
        (GOOD.replace(b"<width>200</width>", b""), "size/width is missing"),
        (GOOD.replace(b"<width>200", b"<width>0"), "0 × 100 pixels"),
        (GOOD.replace(b"<xmin>10</xmin>", b""), "bndbox/xmin is missing"),
        (GOOD.replace(b"<xmin>10", b"<xmin>ten"), "ten"),
        (GOOD.replace(b"<xmin>10", b"<xmin>nan"), "xmin is nan"),
        (GOOD.replace(b"<xmin>10", b"<xmin>30"), "30, 10, 20, 20"),
        (GOOD.replace(b"<ymin>10", b"<ymin>300"), "empty or outside"),
        (GOOD.replace(b"<name>scratches</name>", b"<name> </name>"), "no name"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + GOOD, "document type"),
        # The same letters in other bytes.
        (
            ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a>' + GOOD.decode()).encode(
                "utf-16"
            ),
            "document type",
        ),
        (('<!DOCTYPE a [<!ENTITY b "c">]>' + GOOD.decode()).encode("utf-16-be"), "document type"),
        (LAUGHS, "document type"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + GOOD, "document type"),
        (b'<?xml version="1.0" encoding="klingon"?>' + GOOD, "klingon"),
        (GOOD + b" " * 2**20, "far more"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "strip_7.xml"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"strip_7\.xml") as refusal:
        read_voc(file)
    assert says in str(refusal.value)


@given(st.binary(max_size=300))
def test_any_content_is_boxes_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.mktemp("voc") / "some.xml"
    file.write_bytes(content)
    try:
        read_voc(file)
    except DataError as error:
        assert "some.xml" in str(error)


def test_boxes_are_found_by_the_stem_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "a_1.xml").write_bytes(GOOD)
    found = read_boxes(BoxFolders({"": tmp_path}), ["Scratches/a_1.jpg", "Pitted/b.jpg"])
    assert list(found) == ["Scratches/a_1.jpg"]
    with pytest.raises(DataError, match=r"no boxes for any of the 1 test images.*b\.xml"):
        read_boxes(BoxFolders({"": tmp_path}), ["Pitted/b.jpg"])
    with pytest.raises(DataError, match="could belong to"):
        read_boxes(BoxFolders({"": tmp_path}), ["Scratches/a_1.jpg", "Pitted/a_1.png"])
    (tmp_path / "Pitted").mkdir()
    (tmp_path / "Pitted" / "a_1.xml").write_bytes(voc(("pitted", 1, 1, 200, 100)))
    found = read_boxes(BoxFolders({"": tmp_path}), ["Scratches/a_1.jpg", "Pitted/a_1.png"])
    assert [boxes[0].name for boxes in found.values()] == ["scratches", "pitted"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("crazing", "Crazing"),
        ("pitted_surface", "Pitted"),
        ("rolled-in_scale", "Rolled"),
        ("SCRATCHES", "Scratches"),
        ("scratches deep", "Scratches deep"),
        ("scratches_deep_2", "Scratches deep"),
        ("weld", None),
        ("_", None),
    ],
)
def test_names_of_boxes_mean_classes(name: str, label: str | None) -> None:
    labels = ["Crazing", "Pitted", "Rolled", "Scratches", "Scratches deep"]
    assert match_class(name, labels) == label


def test_boxes_get_the_classes_that_a_class_map_gives_their_names(tmp_path: Path) -> None:
    for place in ("lab", "mill"):
        (tmp_path / place).mkdir()
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax>"
            "<ymax>4</ymax></bndbox></object>"
            for name in ("pitted_surface", "weld", "rust")
        )
        (tmp_path / place / "a.xml").write_text(
            f"<annotation><size><width>9</width><height>9</height></size>{objects}</annotation>"
        )
    # "Pitted" of the lab is a class Pits, and its welds are left out; the mill's names stay.
    lab = {"Pitted": "Pits", "Weld": None, "Rolled": "Rolled"}
    places = BoxFolders().joined(BoxFolders({"": tmp_path / "lab"}, {"": lab}), "lab/")
    places = places.joined(BoxFolders({"": tmp_path / "mill"}), "mill/")
    assert set(places.folders) == {"lab", "mill"}
    found = read_boxes(places, ["lab/x/a.png", "mill/x/a.png"])
    assert [box.name for box in found["lab/x/a.png"]] == ["Pits", "rust"]
    assert [box.name for box in found["mill/x/a.png"]] == ["pitted_surface", "weld", "rust"]
    # One folder for all sources.
    both = BoxFolders({"": tmp_path}, places.classes)
    names = [[b.name for b in boxes] for boxes in read_boxes(both, ["lab/a.png"]).values()]
    assert names == [["Pits", "rust"]]


def test_boxes_come_from_the_folder_nearest_to_the_image(tmp_path: Path) -> None:
    for folder in ("all", "mill"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.xml").touch()
    folders = {"": tmp_path / "all", "mill": tmp_path / "mill"}
    for file, expected in (("mill/1.png", "mill"), ("lab/1.png", "all"), ("mill2/1.png", "all")):
        assert _file_of(folders, file) == tmp_path / expected / "1.xml"
