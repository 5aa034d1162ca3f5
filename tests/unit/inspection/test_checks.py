"""What a look at the files of a folder finds, and nothing that isn't there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.config.groups import DataConfig
from trainer.data.collection import Collection
from trainer.data.sources import collect_images
from trainer.errors import DataError
from trainer.inspection import checks
from trainer.inspection.label_errors import check_labels
from trainer.inspection.report.schema import Duplicates


def noise(seed: int, size: tuple[int, int] = (24, 20)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, size[::-1], dtype=np.uint8)
    return Image.fromarray(pixels)


def save(image: Image.Image, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)


def collect(folder: Path) -> Collection:
    return collect_images(DataConfig(data_dir=(str(folder),)))


def conversions(folder: Path) -> dict[str, str]:
    """Check the images of a class folder; return how each is converted."""
    _, _, bad, converted = checks.check_images(collect(folder).splits["train"], "train")
    assert bad == []
    return {each.file: each.conversion for each in converted}


def test_unusual_storage_is_named(tmp_path: Path) -> None:
    gray = noise(0)
    turned = Image.Exif()
    turned[0x0112] = 6
    folder = tmp_path / "A"
    save(gray, folder / "plain.png")
    save(gray.convert("RGB"), folder / "rgb.jpg")
    save(gray.convert("CMYK"), folder / "cmyk.jpg")
    save(gray.convert("P"), folder / "palette.png")
    save(gray.convert("RGBA"), folder / "alpha.png")
    save(Image.fromarray(np.full((20, 24), 4096, np.uint16)), folder / "deep.png")
    gray.save(folder / "exif.jpg", exif=turned)
    found = conversions(tmp_path)
    expected = {
        "A/alpha.png": "transparency",
        "A/cmyk.jpg": "CMYK",
        "A/deep.png": "more than 8 bits",
        "A/exif.jpg": "orientation 6",
        "A/palette.png": "palette",
    }
    assert found.keys() == expected.keys()
    for file, word in expected.items():
        assert word in found[file]


def test_duplicates_are_found_across_formats(tmp_path: Path) -> None:
    one, other = noise(1), noise(2)
    for name in ("A/one.png", "A/one.bmp", "B/one.tif"):
        save(one.convert("RGB"), tmp_path / name)
    one.save(tmp_path / "B/one.webp", lossless=True)
    save(other, tmp_path / "A/other.png")
    # The same numbers in another shape are another picture.
    save(Image.fromarray(np.asarray(other).reshape(24, 20)), tmp_path / "A/reshaped.png")
    part = collect(tmp_path).splits["train"]
    _, facts, _, _ = checks.check_images(part, "train")
    labels = [part.features["label"].names[number] for number in part["label"]]
    found = checks.find_duplicates(part["file"], labels, facts)
    assert found == [
        Duplicates(files=["A/one.bmp", "A/one.png", "B/one.tif", "B/one.webp"], labels=["A", "B"])
    ]


def test_gray_levels_of_a_class_are_those_of_all_its_pixels(tmp_path: Path) -> None:
    save(Image.fromarray(np.full((10, 10), 100, np.uint8)), tmp_path / "A/a.png")
    save(Image.fromarray(np.full((10, 30), 180, np.uint8)), tmp_path / "A/b.png")
    _, facts, _, _ = checks.check_images(collect(tmp_path).splits["train"], "train")
    found = checks.describe_class("A", facts, surfaces=2)
    assert found.gray is not None
    # A quarter of the pixels at 100, the rest at 180: mean 160, deviation √(¼·60² + ¾·20²).
    assert found.gray.mean == pytest.approx(160)
    assert found.gray.deviation == pytest.approx(1200**0.5)
    assert (found.gray.darkest, found.gray.brightest) == (100, 180)
    bins = {index: share for index, share in enumerate(found.gray.histogram) if share}
    assert bins == {100 // 8: 0.25, 180 // 8: 0.75}
    assert {(s.size_px, s.images) for s in found.sizes} == {((10, 10), 1), ((30, 10), 1)}


def write_predictions(file: Path, rows: list[tuple[str, str, float]], names: str = "A,B") -> Path:
    """Write predictions of two classes: file, label, probability of A."""
    lines = [f"file,label,prediction,confidence,{names}"]
    for name, label, a in rows:
        lines.append(f"{name},{label},{'A' if a > 0.5 else 'B'},{max(a, 1 - a)},{a},{1 - a}")
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_label_that_the_predictions_contradict_is_found(tmp_path: Path) -> None:
    rows = [(f"A/{i}.png", "A", 0.9 + i / 400) for i in range(20)]
    rows += [(f"B/{i}.png", "B", 0.1 - i / 400) for i in range(20)]
    rows[7] = ("A/7.png", "A", 0.04)
    labels = {file: label for file, label, _ in rows}
    found = check_labels(write_predictions(tmp_path / "p.csv", rows), labels)
    assert found.images == 40
    [error] = found.likely_errors
    assert (error.file, error.label, error.suggestion) == ("A/7.png", "A", "B")
    assert error.label_probability == pytest.approx(0.04)
    assert error.suggestion_probability == pytest.approx(0.96)


def test_labels_are_listed_from_the_least_probable(tmp_path: Path) -> None:
    rows = [(f"A/{i}.png", "A", 0.9 + i / 400) for i in range(20)]
    rows += [(f"B/{i}.png", "B", 0.1 - i / 400) for i in range(20)]
    rows[7], rows[30] = ("A/7.png", "A", 0.08), ("B/10.png", "B", 0.97)
    labels = {file: label for file, label, _ in rows}
    found = check_labels(write_predictions(tmp_path / "p.csv", rows), labels).likely_errors
    assert [(error.file, error.suggestion) for error in found] == [
        ("B/10.png", "A"),
        ("A/7.png", "B"),
    ]


def test_good_predictions_give_no_reason_to_doubt(tmp_path: Path) -> None:
    rows = [(f"A/{i}.png", "A", 0.95) for i in range(9)] + [("B/1.png", "B", 0.1)]
    predictions = write_predictions(tmp_path / "p.csv", rows)
    assert check_labels(predictions, {file: label for file, label, _ in rows}).likely_errors == []


def test_predictions_for_one_class_alone_show_nothing(tmp_path: Path) -> None:
    rows = [(f"A/{i}.png", "A", 0.2) for i in range(9)]
    predictions = write_predictions(tmp_path / "p.csv", rows)
    assert check_labels(predictions, {file: label for file, label, _ in rows}).likely_errors == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't be read"),
        ("", "no predictions.csv"),
        ("file,label\n1,2\n", "its first line should be"),
        ("file,label,prediction,confidence,A,B\na.png,A,A,0.9,0.9\n", "different lengths"),
        ("file,label,prediction,confidence,A,B\na.png,A,A,0.9,0.9,x\n", "could not convert"),
        ("file,label,prediction,confidence,A,B\na.png,A,A,0.9,9,0\n", "from 0 to 1"),
        ("file,label,prediction,confidence,A,B\nz.png,A,A,0.9,0.9,0.1\n", "such as z.png"),
        ("file,label,prediction,confidence,B,C\na.png,B,B,0.9,0.9,0.1\n", "the class A"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(
    tmp_path: Path, content: str | None, words: str
) -> None:
    file = tmp_path / "p.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(DataError, match=words):
        check_labels(file, {"a.png": "A"})
