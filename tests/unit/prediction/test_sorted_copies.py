"""Copies lie in folders by verdict and class, and never outside or over each other."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawn_text import CHARACTERS
from trainer.prediction.image_files import ImageFile
from trainer.prediction.row import Row
from trainer.prediction.sorted_copies import SortedCopies

LABELS = ["Crazing", "../up", "a/b", "a_b"]


def image(folder: Path, name: str, content: bytes) -> ImageFile:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return ImageFile(str(folder / name), name, name)


def content_below(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_verdict_and_class_name_the_folder(tmp_path: Path) -> None:
    copies = SortedCopies(tmp_path / "out", LABELS, link=False)
    rows = [
        ("x/1.png", Row("", "Crazing", verdict="class")),
        ("x/2.png", Row("", "../up", verdict="unsure")),
        ("3.png", Row("", "a/b", verdict="class")),
        ("3.PNG", Row("", "a_b", verdict="class")),
        ("4.png", Row("", "Crazing", verdict="unknown")),
        ("5.png", Row("", error="damaged")),
    ]
    for number, (name, row) in enumerate(rows):
        copies.add(image(tmp_path / "in", name, bytes([number])), row)
    copies.add(ImageFile("gone.png", "gone.png", "gone.png"), rows[-1][1])
    assert content_below(tmp_path / "out") == {
        "accepted/Crazing/x/1.png": b"\0",
        "unsure/.._up/x/2.png": b"\1",
        "accepted/a_b/3.png": b"\2",
        "accepted/a_b (2)/3.PNG": b"\3",
        "unknown/4.png": b"\4",
        "unreadable/5.png": b"\5",
    }


def test_files_of_one_name_are_numbered_and_a_resumed_command_finds_them(tmp_path: Path) -> None:
    row = Row("", "Crazing", verdict="class")
    files = [image(tmp_path / name, "1.png", name.encode()) for name in ("a", "b", "c")]
    copies = SortedCopies(tmp_path / "out", LABELS, link=False)
    for file in files:
        copies.add(file, row)
    expected = {
        "accepted/Crazing/1.png": b"a",
        "accepted/Crazing/1 (2).png": b"b",
        "accepted/Crazing/1 (3).png": b"c",
    }
    assert content_below(tmp_path / "out") == expected
    again = SortedCopies(tmp_path / "out", LABELS, link=False)
    folder = tmp_path / "out" / "accepted" / "Crazing"
    (folder / "1 (2).png").unlink()
    written = (folder / "1.png").stat()
    for file in files[:2]:
        again.add(file, row, resumed=True)
    again.add(files[2], row)
    assert content_below(tmp_path / "out") == expected
    assert (folder / "1.png").stat() == written, "what is there is not copied again"


def test_links_lead_to_the_images(tmp_path: Path) -> None:
    file = image(tmp_path / "in", "1.png", b"x")
    copies = SortedCopies(tmp_path / "out", LABELS, link=True)
    copies.add(file, Row("", "Crazing", verdict="class"))
    link = tmp_path / "out" / "accepted" / "Crazing" / "1.png"
    assert link.is_symlink() and link.resolve() == (tmp_path / "in" / "1.png").resolve()


@given(
    labels=st.lists(st.text(CHARACTERS, min_size=1), min_size=1, unique=True),
    places=st.lists(st.text(CHARACTERS, min_size=1), min_size=1, max_size=5),
    data=st.data(),
)
def test_no_name_leads_outside_or_is_given_twice(
    labels: list[str], places: list[str], data: st.DataObject
) -> None:
    copies = SortedCopies(Path("/out"), labels, link=False)
    targets = []
    for place in places:
        row = Row("", data.draw(st.sampled_from(labels)), verdict="class")
        targets.append(copies.target(ImageFile(place, place, place), row))
    for target in targets:
        assert target.parts[:3] == ("/", "out", "accepted")
        assert ".." not in target.parts
        assert all(len(part.encode()) <= 255 for part in target.parts)
    assert len({str(target).casefold() for target in targets}) == len(targets)
