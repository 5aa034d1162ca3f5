"""Folders of images: every layout that is known, every mistake that is reported."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trainer.config.groups import DataConfig, RunConfig
from trainer.data import sources
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images, prepare_images
from trainer.errors import DataError
from trainer.text.names import windows_path_hint

LABELS = ("Crazing", "Pitted")


def write_image(file: Path, seed: int = 0) -> None:
    """Write a small gray noise image in the format that the suffix names."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 10), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def write_classes(root: Path, images: int = 10) -> Path:
    """Write class folders with `images` images each."""
    for number, label in enumerate(LABELS):
        for index in range(images):
            write_image(root / label / f"{index:03}.png", 1000 * number + index)
    return root


def load(root: Path, *, skip: bool = False, seed: int = 0) -> Images:
    return prepare(DataConfig(data_dir=(str(root),), skip_bad_images=skip), seed)


def prepare(data: DataConfig, seed: int = 0) -> Images:
    with tempfile.TemporaryDirectory() as run_dir:
        [images] = prepare_images(data, RunConfig(seed=seed), None, Path(run_dir))
        return images


def files(images: Images, part: str) -> list[str]:
    return list(images.splits[part]["file"][:])


def test_train_and_test_folders(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 20)
    write_classes(tmp_path / "test", 3)
    images = load(tmp_path)
    assert images.labels == ["Crazing", "Pitted"]
    assert files(images, "test") == [
        f"test/{label}/{i:03}.png" for label in LABELS for i in range(3)
    ]
    assert images.splits["test"]["label"][:] == [0] * 3 + [1] * 3
    assert Counter(images.splits["validation"]["label"][:]) == {0: 2, 1: 2}
    assert len(images.splits["train"]) == 36
    assert images.kind == "folder"
    sizes = [size for part in images.splits.values() for size in part["size_px"][:]]
    assert sizes == [[10, 12]] * 46


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_validation_folder_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    for part in ("train", name, "test"):
        write_classes(tmp_path / part, 2)
    images = load(tmp_path)
    assert all(file.startswith(f"{name}/") for file in files(images, "validation"))
    assert [len(images.splits[p]) for p in ("train", "validation", "test")] == [4, 4, 4]


@pytest.mark.slow
def test_class_folders_alone_are_cut_80_to_20(tmp_path: Path) -> None:
    images = load(write_classes(tmp_path, 50))
    counts = {name: Counter(part["label"][:]) for name, part in images.splits.items()}
    assert counts == {
        "test": {0: 10, 1: 10},
        "validation": {0: 4, 1: 4},
        "train": {0: 36, 1: 36},
    }
    assert "seed 0" in images.origins["test"]


@settings(max_examples=10, deadline=None)
@given(counts=st.tuples(st.integers(10, 40), st.integers(10, 40)), seed=st.integers(0, 99))
@pytest.mark.slow
def test_parts_are_disjoint_complete_seeded_and_stratified(
    counts: tuple[int, int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("images")
    for number, (label, count) in enumerate(zip(LABELS, counts, strict=True)):
        for index in range(count):
            write_image(root / label / f"{index}.bmp", 1000 * number + index)
    images, again = load(root, seed=seed), load(root, seed=seed)
    assert images.digest() == again.digest()
    everything = [file for part in images.splits for file in files(images, part)]
    assert len(everything) == len(set(everything)) == sum(counts)
    for index, count in enumerate(counts):
        tested = images.splits["test"]["label"][:].count(index)
        assert abs(tested - 0.2 * count) <= 1


def test_another_seed_gives_another_split(tmp_path: Path) -> None:
    write_classes(tmp_path, 30)
    assert load(tmp_path, seed=1).digest() != load(tmp_path, seed=2).digest()


def test_default_folder_is_that_of_the_reference_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path / "custom_dateset" / "train")
    write_classes(tmp_path / "custom_dateset" / "test")
    monkeypatch.chdir(tmp_path)
    assert prepare(DataConfig()).source == "custom_dateset"


@pytest.mark.slow
def test_without_any_folder_images_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "DRAWN_TRAIN_PER_CLASS", 10)
    monkeypatch.setattr(sources, "DRAWN_TEST_PER_CLASS", 2)
    images = prepare(DataConfig())
    assert images.kind == "drawn"
    assert len(images.labels) == 6
    assert [len(images.splits[p]) for p in ("train", "validation", "test")] == [54, 6, 12]


def test_odd_names_and_formats(tmp_path: Path) -> None:
    names = ["a [0].PNG", "ü%20*.jpg", "x.TIFF", "y.webp", "z.bmp"]
    for label in ("A b", "C[1]"):
        for number, name in enumerate(names * 2):
            write_image(tmp_path / label / f"{number}{name}", number)
    (tmp_path / "A b" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "A b" / ".hidden").write_bytes(b"x")
    images = load(tmp_path)
    assert images.labels == ["A b", "C[1]"]
    assert sum(len(part) for part in images.splits.values()) == 20


def test_images_are_read_as_the_published_model_reads_them(tmp_path: Path) -> None:
    write_classes(tmp_path, 10)
    deep = np.full((4, 4), 0x8000, dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "Crazing" / "000.png")
    for part in load(tmp_path).splits.values():
        for row in part:
            if row["file"] == "Crazing/000.png":
                assert np.asarray(open_image(row)).tolist() == [[[128] * 3] * 4] * 4
                return
    pytest.fail("the image is in no part")


def test_boxes_beside_the_images_are_found(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        write_classes(tmp_path / split / "images", 4)
        folder = tmp_path / split / "annotations"
        folder.mkdir()
        for label in LABELS:
            (folder / f"{label}_x.xml").write_text("<annotation/>")
    assert not load(tmp_path).boxes
    for index in range(4):
        (tmp_path / f"train/images/Pitted/{index:03}.png").rename(
            tmp_path / f"train/images/Pitted/p{index}.png"
        )
        (tmp_path / f"train/annotations/p{index}.xml").write_text(
            "<annotation><size><width>9</width><height>9</height></size><object><name>pitted"
            "</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox>"
            "</object></annotation>"
        )
    assert load(tmp_path).boxes.folders == {
        f"{split}/images": tmp_path / split / "annotations" for split in ("train", "validation")
    }


def refused(root: Path, *words: str) -> None:
    with pytest.raises(DataError) as caught:
        load(root)
    for word in words:
        assert word in str(caught.value)


def test_no_such_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "There is no folder", "nowhere", "--data-dir")


def test_a_path_of_windows_is_translated_for_wsl() -> None:
    with pytest.raises(DataError, match="in WSL 2 it is /mnt/d/steel/strip 7"):
        load(Path(r"D:\steel\strip 7"))
    assert windows_path_hint("steel") == windows_path_hint("/mnt/d") == ""


def test_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "NEU.ZIP").write_bytes(b"PK")
    refused(tmp_path / "NEU.ZIP", "NEU.ZIP is a file", "Unpack it first")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    write_image(tmp_path / "x.png")
    refused(tmp_path / "x.png", "x.png is a file", "class folders")


def test_empty_folder(tmp_path: Path) -> None:
    refused(tmp_path, str(tmp_path), "is empty")


def test_empty_class_folder(tmp_path: Path) -> None:
    (write_classes(tmp_path) / "Rolled").mkdir()
    refused(tmp_path, "Rolled is empty", "remove the folder")


def test_one_class_only(tmp_path: Path) -> None:
    write_image(tmp_path / "Crazing" / "0.png")
    refused(tmp_path, "only one class (Crazing)", "two or more")


def test_class_missing_in_test(tmp_path: Path) -> None:
    write_classes(tmp_path / "train")
    write_image(tmp_path / "test" / "Crazing" / "0.png")
    refused(tmp_path, "Pitted is missing in test")


def test_no_train_folder(tmp_path: Path) -> None:
    write_classes(tmp_path / "test")
    refused(tmp_path, "no train folder, only test")


def test_stray_folder_beside_train(tmp_path: Path) -> None:
    write_classes(tmp_path / "train")
    write_classes(tmp_path / "annotations")
    refused(tmp_path, "Beside train", "annotations (20 images)", "Move them")


def test_two_folders_for_one_part(tmp_path: Path) -> None:
    for name in ("train", "val", "valid"):
        write_classes(tmp_path / name)
    refused(tmp_path, "two folders for the validation split: val, valid")


def test_loose_image_beside_class_folders(tmp_path: Path) -> None:
    write_image(write_classes(tmp_path) / "loose.png")
    refused(tmp_path, "loose.png", "folder of its class")


def test_folder_inside_a_class(tmp_path: Path) -> None:
    write_image(write_classes(tmp_path) / "Crazing" / "more" / "0.png")
    refused(tmp_path, "inside the class folder Crazing: Crazing/more (1)")


def test_too_few_images_to_split(tmp_path: Path) -> None:
    refused(write_classes(tmp_path, 2), "No image is left for validation")


def test_unusable_files_are_named_and_left_out_only_on_demand(tmp_path: Path) -> None:
    root = write_classes(tmp_path, 20)
    whole = (root / "Crazing" / "000.png").read_bytes()
    (root / "Crazing" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "Crazing" / "text.jpg").write_text("no image")
    (root / "Pitted" / "notes.txt").write_text("no image either")
    Image.new("L", (101, 1)).save(root / "Pitted" / "line.png")
    bad = {"Crazing/cut.png", "Crazing/text.jpg", "Pitted/notes.txt", "Pitted/line.png"}
    refused(root, "4 files are not usable", "--skip-bad-images", *bad)
    images = load(root, skip=True)
    assert {image.file for image in images.skipped} == bad
    assert sum(len(part) for part in images.splits.values()) == 40


def test_class_with_no_readable_image(tmp_path: Path) -> None:
    root = write_classes(tmp_path)
    for index in range(10):
        (root / "Pitted" / f"{index:03}.png").write_bytes(b"")
    with pytest.raises(DataError, match="Pitted"):
        load(root, skip=True)


def test_neither_folder_nor_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match="no folder ada/nowhere, and the Hub returned no such dataset"
    ):
        prepare(DataConfig(data_dir=("ada/nowhere",)))
