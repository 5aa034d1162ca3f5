"""Layouts of data folders: what is read from each, and what is said of those that can't be used."""

from __future__ import annotations

import os
import socket
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.folder_trees import write_tree
from trainer.cli.trained_folder import check_settings
from trainer.config.groups import DataConfig
from trainer.config.settings import TrainConfig
from trainer.data.folders.class_names import class_from_name
from trainer.data.folders.scan import FolderScan, scan_folder
from trainer.data.sources import find_images
from trainer.errors import DataError

TWO_CLASSES = ["Crazing/1.png", "Crazing/2.png", "Pitted/1.png"]
NEU = [
    f"{split}/{place}"
    for split, number in (("train", 1), ("validation", 2))
    for place in (
        f"images/crazing/crazing_{number}.jpg",
        f"images/patches/patches_{number}.jpg",
        f"annotations/crazing_{number}.xml",
    )
]


def within(folder: str, files: list[str]) -> list[str]:
    return [f"{folder}/{file}" for file in files]


def contents(scan: FolderScan) -> dict[str, dict[str, list[str]]]:
    """Return the names of the images by split and class."""
    return {
        split: {label: [file.name for file in files] for label, files in classes.items()}
        for split, classes in scan.splits.items()
    }


def counts(scan: FolderScan) -> dict[str, dict[str, int]]:
    return {split: {k: len(v) for k, v in own.items()} for split, own in contents(scan).items()}


def used(root: Path, **options: object) -> FolderScan:
    """Scan a folder with which nothing is wrong."""
    scan = scan_folder(str(root), **options)  # type: ignore[arg-type]
    assert scan.problems == []
    assert scan.unusable == []
    return scan


def problem(root: Path, **options: object) -> str:
    """Scan a folder with which one thing is wrong."""
    [sentence] = scan_folder(str(root), **options).problems  # type: ignore[arg-type]
    assert "\n" not in sentence
    return sentence


def test_class_folders(tmp_path: Path) -> None:
    scan = used(write_tree(tmp_path, TWO_CLASSES))
    assert contents(scan) == {
        "train": {"Crazing": ["Crazing/1.png", "Crazing/2.png"], "Pitted": ["Pitted/1.png"]}
    }
    assert scan.notes == []


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("val", "validation"),
        ("valid", "validation"),
        ("Validation", "validation"),
        ("test", "test"),
        ("Testing", "test"),
    ],
)
def test_splits(tmp_path: Path, name: str, split: str) -> None:
    scan = used(write_tree(tmp_path, within("Training", TWO_CLASSES) + within(name, TWO_CLASSES)))
    assert counts(scan) == {s: {"Crazing": 2, "Pitted": 1} for s in ("train", split)}


def test_neu_det_as_kaggle_has_it(tmp_path: Path) -> None:
    scan = used(write_tree(tmp_path, NEU))
    assert contents(scan) == {
        split: {
            label: [f"{split}/images/{label}/{label}_{number}.jpg"]
            for label in ("crazing", "patches")
        }
        for split, number in (("train", 1), ("validation", 2))
    }
    assert scan.boxes == {
        f"{split}/images": f"{tmp_path}/{split}/annotations" for split in ("train", "validation")
    }


@pytest.mark.parametrize("side", ["annotations", "labels", "ANNOTATIONS"])
def test_class_folders_under_images(tmp_path: Path, side: str) -> None:
    scan = used(write_tree(tmp_path, [*within("Images", TWO_CLASSES), f"{side}/1.xml"]))
    assert counts(scan) == {"train": {"Crazing": 2, "Pitted": 1}}
    assert scan.boxes == {"Images": f"{tmp_path}/{side}"}


def test_splits_under_images_beside_boxes_in_class_folders(tmp_path: Path) -> None:
    files = within("images/train", TWO_CLASSES) + within("images/val", TWO_CLASSES)
    scan = used(write_tree(tmp_path, [*files, "annotations/train/1.xml"]))
    assert list(scan.splits) == ["train", "validation"]
    assert scan.boxes == {"images": f"{tmp_path}/annotations"}


def test_label_files_that_are_no_boxes_are_named(tmp_path: Path) -> None:
    scan = used(write_tree(tmp_path, [*within("images", TWO_CLASSES), "labels/1.txt"]))
    assert scan.boxes == {}
    assert scan.notes == ["labels was ignored: it contains no Pascal VOC boxes (.xml)."]


def test_the_folder_that_an_archive_adds_is_stepped_into(tmp_path: Path) -> None:
    scan = used(write_tree(tmp_path, within("NEU-DET/NEU-DET", NEU)))
    assert list(scan.splits) == ["train", "validation"]
    assert scan.notes == ["The images were read from NEU-DET/NEU-DET."]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
@pytest.mark.parametrize("labels", [("A", "B"), (7, 12), (None, "null")])
def test_metadata(tmp_path: Path, name: str, labels: tuple[object, object]) -> None:
    names = [str(label or "None") for label in labels]
    csv = f'file_name,label,coil\n1.png,{names[0]},x\ndeep/2.png,{names[1]},"x,\ny"\n'
    jsonl = (
        f'{{"file_name": "1.png", "label": {names[0] if names[0].isdigit() else repr(names[0])}}}\n'
        f'{{"file_name": "deep/2.png", "label": "{names[1]}", "coil": null}}\n'
    ).replace("'", '"')
    table = csv if name.endswith("csv") else jsonl
    for split in ("train", "test"):
        write_tree(tmp_path / split, {"1.png": "x", "deep/2.png": "x", name: table})
    assert contents(used(tmp_path)) == {
        split: {names[0]: [f"{split}/1.png"], names[1]: [f"{split}/deep/2.png"]}
        for split in ("test", "train")
    }


def test_one_table_above_the_splits(tmp_path: Path) -> None:
    write_tree(
        tmp_path, {"train/1.png": "x", "train/2.png": "x", "test/3.png": "x", "test/4.png": "x"}
    )
    rows = "train/1.png;A\n./train/2.png;B\ntest\\3.png;A\ntest/4.png;B\n"
    # As a spreadsheet writes it: a byte order mark and semicolons.
    (tmp_path / "metadata.csv").write_text("\ufefffile_name;Class\n" + rows)
    assert contents(used(tmp_path)) == {
        "train": {"A": ["train/1.png"], "B": ["train/2.png"]},
        "test": {"A": ["test/3.png"], "B": ["test/4.png"]},
    }


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_table_and_its_files_may_differ_in_unicode_form(
    tmp_path: Path, forms: tuple[Literal["NFC", "NFD"], Literal["NFC", "NFD"]]
) -> None:
    """As where macOS wrote one of them."""
    stored, listed = (
        [unicodedata.normalize(form, n) for n in ("é/1.png", "ü.png")] for form in forms
    )
    write_tree(tmp_path, stored)
    rows = f"{listed[0]},A\n{listed[1]},B\n"
    (tmp_path / "metadata.csv").write_text(f"file_name,label\n{rows}")
    assert contents(used(tmp_path)) == {"train": {"A": stored[:1], "B": stored[1:]}}


def test_metadata_without_labels_leaves_the_class_folders_alone(tmp_path: Path) -> None:
    write_tree(tmp_path, TWO_CLASSES)
    (tmp_path / "metadata.csv").write_text("file_name,text\nCrazing/1.png,a crack\n")
    assert counts(used(tmp_path)) == {"train": {"Crazing": 2, "Pitted": 1}}


def test_the_label_column_is_chosen_by_name(tmp_path: Path) -> None:
    write_tree(tmp_path, ["1.png", "2.png"])
    table = tmp_path / "metadata.csv"
    table.write_text("file_name,defect,coil\n1.png,A,9\n2.png,B,9\n")
    assert "one of the columns defect, coil" in problem(tmp_path)
    assert counts(used(tmp_path, label_column="defect")) == {"train": {"A": 1, "B": 1}}
    sentence = scan_folder(str(tmp_path), label_column="Defekt").problems[0]
    assert "no such column, only defect, coil. Did you mean defect?" in sentence
    table.write_text("file_name,label,class\n1.png,A,9\n2.png,B,9\n")
    assert "has the columns label, class" in problem(tmp_path)


def test_rows_and_files_that_do_not_fit_are_named_and_skippable(tmp_path: Path) -> None:
    write_tree(tmp_path, [f"{number}.png" for number in range(6)])
    rows = ["0.png,A", "1.png,B", "2.png,A", "2.png,B", "3.png, ", "gone.png,A", "../../x.png,A"]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,label", *rows, "1.png,B"]))
    (tmp_path / "5.png").write_bytes(b"")
    scan = scan_folder(str(tmp_path))
    assert scan.problems == []
    assert counts(scan) == {"train": {"A": 1, "B": 1}}
    assert {entry.file: entry.reason for entry in scan.unusable} == {
        "2.png": "metadata.csv gives it several classes: A, B",
        "3.png": "metadata.csv gives it no class",
        "4.png": "it has no row in metadata.csv",
        "5.png": "the file is empty",
        "gone.png": "metadata.csv lists it, but it is not there",
        "../../x.png": "metadata.csv lists it, but it is not there",
    }


def test_roboflow_one_hot_tables(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        names = ["a_jpg.rf.0f.jpg", "b_jpg.rf.1e.jpg", "c.jpg"]
        write_tree(tmp_path / split, names)
        rows = [f"{names[0]}, 1, 0", f"{names[1]}, 0, 1", f"{names[2]}, 1, 1"]
        table = "\n".join(["filename, Crazing, Pitted Surface", *rows])
        (tmp_path / split / "_classes.csv").write_text(table)
    write_tree(tmp_path, ["README.dataset.txt", "README.roboflow.txt"])
    scan = scan_folder(str(tmp_path))
    assert scan.problems == []
    assert counts(scan) == {s: {"Crazing": 1, "Pitted Surface": 1} for s in ("train", "validation")}
    assert [(entry.file, entry.reason) for entry in scan.unusable] == [
        (f"{s}/c.jpg", f"{s}/_classes.csv gives it several classes: Crazing, Pitted Surface")
        for s in ("train", "valid")
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("metadata.csv", "", "the file is empty"),
        ("metadata.csv", "file_name,label\n", "has no rows"),
        ("metadata.csv", "path,label\n1.png,A\n", "needs a column file_name"),
        ("metadata.csv", "file_name,label\n1.png,A,B\n", "line 2 has more cells"),
        ("metadata.csv", b"file_name,label\n1.png,K\xfcr\n", "is damaged"),
        ("metadata.csv", "file_name,label\n,A\n", "Row 1 of metadata.csv names no file"),
        ("metadata.csv", "file_name,label\nx/1.png,A\n", "none of them is there, as x/1.png"),
        ("metadata.jsonl", '{"file_name": "1.png", "label"', "is damaged"),
        ("metadata.jsonl", "[" * 100_000, "is damaged"),
        ("metadata.jsonl", "3\n", "a line is no object: 3"),
        ("metadata.parquet", b"PAR1", "is damaged"),
        ("_classes.csv", "filename,A,B\n1.png,1,x\n", "Row 1 of _classes.csv holds x"),
    ],
)
def test_tables_that_cannot_be_read(
    tmp_path: Path, name: str, content: str | bytes, words: str
) -> None:
    write_tree(tmp_path, {"1.png": "x", name: content})
    assert words in problem(tmp_path)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("crazing_1.jpg", "crazing"),
        ("rolled-in_scale_241.jpg", "rolled-in_scale"),
        ("Cr_1.bmp", "Cr"),
        ("PS (12).png", "PS"),
        ("In-007.tif", "In"),
        ("划痕12.png", "划痕"),
        ("type2_13.png", "type2"),
        ("scratch_2023_001.png", "scratch"),
        ("crazing_1_jpg.rf.0a1b2c.jpg", "crazing"),
        ("0001.png", None),
        ("crazing.png", None),
    ],
)
def test_class_of_a_file_name(name: str, label: str | None) -> None:
    assert class_from_name(name) == label


NEU_CLS = ["Cr_1.bmp", "Cr_2.bmp", "In_1.bmp", "PS_1.bmp", "PS_2.bmp"]


@pytest.mark.parametrize("folder", ["", "IMAGES/", "train/"])
def test_classes_from_file_names_are_offered_and_taken(tmp_path: Path, folder: str) -> None:
    write_tree(tmp_path, [folder + name for name in NEU_CLS])
    if folder == "IMAGES/":
        write_tree(tmp_path, ["ANNOTATIONS/Cr_1.xml"])
    sentence = problem(tmp_path)
    assert "5 images" in sentence
    assert "Cr (2), In (1), PS (2): pass --class-from-name" in sentence
    assert counts(used(tmp_path, names_give_classes=True)) == {"train": {"Cr": 2, "In": 1, "PS": 2}}


def test_class_from_name_in_splits_and_misused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_tree(tmp_path / split, NEU_CLS)
    scan = used(tmp_path, names_give_classes=True)
    assert list(scan.splits) == ["test", "train"]
    write_tree(tmp_path, ["train/0001.png"])
    scan = scan_folder(str(tmp_path), names_give_classes=True)
    assert [entry.file for entry in scan.unusable] == ["train/0001.png"]
    write_tree(tmp_path / "other", TWO_CLASSES)
    assert "--class-from-name is for images without class folders" in problem(
        tmp_path / "other", names_give_classes=True
    )


def test_numbered_images_offer_no_classes(tmp_path: Path) -> None:
    write_tree(tmp_path, ["img_1.png", "img_2.png", "3.png"])
    assert "--class-from-name" not in problem(tmp_path)


def test_mvtec_is_refused_with_the_right_advice(tmp_path: Path) -> None:
    files = ["train/good/0.png", "test/good/0.png", "test/scratch/0.png", "test/hole/0.png"]
    write_tree(tmp_path, [*files, "ground_truth/scratch/0_mask.png", "license.txt"])
    sentence = problem(tmp_path)
    for words in ("hole is missing in train", "scratch is missing in train", "MVTec", "--resplit"):
        assert words in sentence
    scan = used(tmp_path, pooled=True)
    assert scan.classes == ["good", "hole", "scratch"]
    assert scan.images == 4
    assert scan.notes == ["ground_truth was ignored: it contains masks."]


def test_a_test_folder_without_labels(tmp_path: Path) -> None:
    write_tree(tmp_path, [*within("train", TWO_CLASSES), "test/a.jpg", "test/b.jpg", "test/c.csv"])
    sentence = problem(tmp_path)
    for words in (
        "test holds 2 images but no class folders",
        "test/a.jpg, test/b.jpg",
        "metadata.csv",
    ):
        assert words in sentence
    assert "move test elsewhere" in sentence
    assert "empty" not in sentence


@pytest.mark.parametrize("folder", ["", "train/"])
def test_loose_images_beside_class_folders_are_counted(tmp_path: Path, folder: str) -> None:
    write_tree(tmp_path, [folder + file for file in TWO_CLASSES])
    write_tree(tmp_path, [f"{folder}loose{number:02}.png" for number in range(13)])
    sentence = problem(tmp_path)
    assert "13 images are directly in" in sentence
    assert f"{folder}loose09.png and 3 more" in sentence


def test_images_beside_the_splits(tmp_path: Path) -> None:
    write_tree(tmp_path, within("train", TWO_CLASSES))
    write_tree(tmp_path, ["Extra/1.png", "more/deep/2.png", "loose.png", "docs/a.pdf"])
    scan = scan_folder(str(tmp_path))
    [sentence] = scan.problems
    assert "Extra (1 images), more (1 images), loose.png" in sentence
    assert scan.notes == ["docs was ignored: it contains no images."]


@pytest.mark.parametrize(
    "names",
    [
        ("valid", "invalid"),
        ("train", "bus"),
        ("test", "real"),
        ("None", "null"),
        ("images", "labels"),
        ("val", "test", "other"),
        ("train", "bus", "car"),
        ("train", "test", "valid", "bus", "None"),
        ("-", "#1", "nan"),
    ],
)
def test_class_names_that_mean_something_else(tmp_path: Path, names: tuple[str, ...]) -> None:
    write_tree(tmp_path, [f"{name}/{number}.png" for name in names for number in range(2)])
    assert counts(used(tmp_path)) == {"train": dict.fromkeys(sorted(names), 2)}


def test_what_a_name_was_taken_for_is_said(tmp_path: Path) -> None:
    write_tree(tmp_path, ["valid/1.png", "invalid/1.png"])
    [note] = scan_folder(str(tmp_path)).notes
    assert "valid was interpreted as a class" in note


def test_flat_splits_are_no_classes(tmp_path: Path) -> None:
    write_tree(tmp_path, ["train/1.png", "test/1.png"])
    problems = scan_folder(str(tmp_path)).problems
    assert len(problems) == 2
    assert all("no class folders" in sentence for sentence in problems)


def test_flat_splits_beside_one_folder_or_their_masks_stay_ambiguous(tmp_path: Path) -> None:
    for number, side in enumerate((["extra"], ["train_masks", "test_masks"], ["images", "labels"])):
        root = tmp_path / str(number)
        write_tree(root, [f"{name}/1.png" for name in ["train", "test", *side]])
        words = " ".join(scan_folder(str(root)).problems)
        assert "which was interpreted as a split" in words
        assert "If test is a class, put all class folders into a folder called train" in words


def test_class_names_like_splits_inside_a_split(tmp_path: Path) -> None:
    write_tree(tmp_path, ["train/train/1.png", "train/test/1.png", "train/valid/1.png"])
    assert counts(used(tmp_path)) == {"train": {"test": 1, "train": 1, "valid": 1}}


LEFT_BEHIND = [
    *("__MACOSX/Crazing/._1.png", "._Crazing", ".DS_Store", "Crazing/._1.png", ".Trash-0/a.png"),
    *("Crazing/Thumbs.db", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN/S-1/a.png"),
    *("System Volume Information/x", "@eaDir/1.png/SYNO_THUMB.jpg", "Crazing/@eaDir/1.png/S.jpg"),
    *("#recycle/a.png", "lost+found/", ".ipynb_checkpoints/1.png", "__pycache__/a.pyc"),
    *("Crazing/.ipynb_checkpoints/1-checkpoint.png", ".git/HEAD", "Pitted/Icon\r"),
]


@pytest.mark.parametrize("split", ["", "train/"])
def test_what_systems_leave_behind_is_ignored(tmp_path: Path, split: str) -> None:
    write_tree(tmp_path, [split + file for file in TWO_CLASSES + LEFT_BEHIND])
    write_tree(
        tmp_path, [file for file in LEFT_BEHIND if not file.startswith(("Crazing/", "Pitted/"))]
    )
    scan = used(tmp_path)
    assert counts(scan) == {"train": {"Crazing": 2, "Pitted": 1}}
    assert scan.notes == []


@pytest.mark.parametrize(
    "name",
    [
        *(
            "cam1::0001.png",
            "a [0].png",
            "[[]",
            "$HOME.png",
            "${HF_TOKEN}.png",
            "a\nb.png",
            "%s.png",
        ),
        *("file:x.png", "-rf.png", "~.png", "*.png", "a" * 251 + ".png", "é.png", "e\u0301.png"),
        *("\x1b[31m.png", "\u202egnp.png", " .png", "\\.png", "'\".png", "a.PnG"),
    ],
)
def test_any_name_of_a_file_is_read(tmp_path: Path, name: str) -> None:
    name = name if name.lower().endswith(".png") else f"{name}.png"
    scan = used(write_tree(tmp_path, [f"A/{name}", "B/1.png"]))
    [file] = scan.splits["train"]["A"]
    assert (file.path, file.name) == (f"{tmp_path}/A/{name}", f"A/{name}")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    write_tree(tmp_path, ["A/Kratz\udcfcr.png", "B/1.png"])
    [file] = used(tmp_path).splits["train"]["A"]
    assert file.name == r"A/Kratz\xfcr.png"
    assert os.fsencode(file.path).endswith(b"A/Kratz\xfcr.png")
    write_tree(tmp_path, ["\udcc9raflure/1.png"])
    assert r"class folder \xc9raflure is not UTF-8" in problem(tmp_path)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("Éraflure", "E\u0301raflure", "Unicode normalization"),
        ("Crazing", "Crazing ", "spaces at the beginning or end"),
        ("Pitted surface", "Pitted\u00a0surface", "types of spaces"),
        ("Crazing", "Craz\u200bing", "invisible characters"),
    ],
)
def test_names_that_look_the_same(tmp_path: Path, one: str, other: str, words: str) -> None:
    write_tree(tmp_path / "one", [f"{one}/1.png", f"{other}/1.png"])
    sentence = problem(tmp_path / "one")
    assert words in sentence
    assert ascii(one) in sentence
    assert ascii(other) in sentence
    write_tree(tmp_path / "two", [f"train/{one}/1.png", "train/B/1.png"])
    write_tree(tmp_path / "two", [f"test/{other}/1.png", "test/B/1.png"])
    said = " ".join(scan_folder(str(tmp_path / "two")).problems)
    assert words in said
    assert "is missing in test" in said


def test_case_twins_are_refused_wherever_they_are_trained_together(tmp_path: Path) -> None:
    files = [
        "Crazing/1.png",
        "crazing/1.png",
        "CRAZING/1.png",
        "Stra\u00dfe/1.png",
        "STRASSE/1.png",
    ]
    for split in ("train", "test"):
        write_tree(tmp_path / "split", [f"{split}/{file}" for file in files])
    (tmp_path / "flat").mkdir()
    for name in ("Rust_1.png", "rust_1.png", "Dent_1.png", "Dent_2.png"):
        (tmp_path / "flat" / name).write_bytes(b"x")
    problems = scan_folder(str(tmp_path / "split")).problems
    assert len(problems) == 2
    assert "CRAZING and Crazing and crazing are alike and differ in upper and lower" in problems[0]
    [sentence] = scan_folder(str(tmp_path / "flat"), names_give_classes=True).problems
    assert "Rust and rust are alike" in sentence


def test_all_differences_between_splits_are_said_at_once(tmp_path: Path) -> None:
    files = ["train/Crazing/1.png", "train/Inclusion/1.png", "train/Rolled/1.png"]
    files += ["test/crazing/1.png", "test/Inclusoin/1.png", "test/Scratches/1.png"]
    sentence = problem(write_tree(tmp_path, files))
    for words in (
        "Crazing is missing in test (crazing there differs in upper and lower case)",
        "Inclusion is missing in test (Inclusoin there differs in spelling)",
        "Rolled is missing in test",
        "Scratches is missing in train",
        "--resplit",
    ):
        assert words in sentence
    pooled = scan_folder(str(tmp_path), pooled=True)
    assert pooled.images == 6
    [twins] = pooled.problems
    assert "Crazing and crazing are alike and differ in upper and lower case" in twins


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "is empty. It should contain a folder of images for each class"),
        (["data.zip"], "only data.zip. Unpack data.zip first"),
        (["notes.txt", "labels.csv"], "contains no image, only labels.csv, notes.txt"),
        (["A/1.png"], "only one class (A)"),
        (["A/1.png", "B/"], "B is empty. Add images, or remove the folder"),
        (["A/1.png", "B/1.txt"], "B contains no image, only 1.txt"),
        (["train/A/1.png", "train/B/1.png", "test/"], "test is empty"),
        (["test/A/1.png", "test/B/1.png"], "no train folder, only test"),
        (["A/1.png", "B/1.png", "B/x/2.png"], "inside the class folder B: B/x (1)"),
        (["A/1.png", "A/1_mask.bmp", "B/1.png"], "In A, 1 file is named like a mask of an image"),
        (["A/1.png", "B/k 1.jpg", "B/k 1_GT.png", "B/2.png", "B/2-label.png"], "2 files are named"),
        (
            ["train/A/1.png", "train/B/1.png", "val/A/1.png", "val/B/1.png", "valid/A/1.png"],
            "two folders for the validation split: val, valid",
        ),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, files: list[str], words: str) -> None:
    assert words in problem(write_tree(tmp_path, files))


def test_a_mask_is_no_image_and_a_name_alone_is_no_mask(tmp_path: Path) -> None:
    files = ["A/1.png", "A/1_label.png", "B/2_label.png", "B/label.png", "B/seg_1.png"]
    scan = scan_folder(str(write_tree(tmp_path, files)))
    assert contents(scan) == {
        "train": {"A": ["A/1.png"], "B": ["B/2_label.png", "B/label.png", "B/seg_1.png"]}
    }
    assert len(scan.problems) == 1


def test_folders_above_the_classes_are_named_as_they_are_passed(tmp_path: Path) -> None:
    files = [f"{line}/{label}/1.png" for line in ("line1", "line2") for label in ("A", "B")]
    problems = scan_folder(str(write_tree(tmp_path, files))).problems
    assert [
        f"--data-dir {tmp_path / line};" in each
        for line, each in zip(("line1", "line2"), problems, strict=True)
    ] == [True, True]


def test_all_problems_are_found_in_one_scan(tmp_path: Path) -> None:
    files = ["A/1.png", "A/x/2.png", "B/", "loose.png", "Kratz\udcfc/1.png"]
    assert len(scan_folder(str(write_tree(tmp_path, files))).problems) == 4


def test_what_cannot_be_opened_is_named_and_never_opened(tmp_path: Path) -> None:
    write_tree(tmp_path, ["A/1.png", "B/1.png", "elsewhere/2.png"])
    (tmp_path / "elsewhere").rename(tmp_path / ".elsewhere")
    folder = tmp_path / "A"
    (folder / "good.png").symlink_to(tmp_path / ".elsewhere/2.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "gone").symlink_to("nowhere")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.png")
    (folder / "empty.png").touch()
    # The address of a socket must be short.
    with socket.socket(socket.AF_UNIX) as opened, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        opened.bind("sock.png")
    scan = scan_folder(str(tmp_path))
    assert scan.problems == []
    assert counts(scan) == {"train": {"A": 2, "B": 1}}
    assert {entry.file: entry.reason for entry in scan.unusable} == {
        "A/gone.png": "a link to a file that is not there",
        "A/gone": "a link to a file that is not there",
        "A/loop.png": "it can't be opened: Too many levels of symbolic links",
        "A/zero.png": "a device, not a file",
        "A/pipe.png": "a pipe (FIFO), not a file",
        "A/sock.png": "a socket, not a file",
        "A/empty.png": "the file is empty",
        "A/up": "a link to a folder in which it lies",
    }


def test_class_folders_that_are_links(tmp_path: Path) -> None:
    write_tree(tmp_path, ["data/A/1.png", "B/1.png"])
    (tmp_path / "data/B").symlink_to(tmp_path / "B")
    assert counts(used(tmp_path / "data")) == {"train": {"A": 1, "B": 1}}
    (tmp_path / "data/C").symlink_to("gone")
    (tmp_path / "data/D").symlink_to(".")
    problems = scan_folder(str(tmp_path / "data")).problems
    assert any("D: a link to a folder in which it lies" in sentence for sentence in problems)
    assert any("C: a link to a file that is not there" in sentence for sentence in problems)
    assert len(problems) == 2


def test_folders_that_nobody_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path, [*TWO_CLASSES, "Rolled/1.png"])
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("Rolled"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "Rolled: it can't be read: Permission denied" in problem(tmp_path)


@pytest.mark.parametrize("folder", ["plain", "steel [v2]", "$HOME {a,b}*"])
def test_every_folder_is_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    root = tmp_path / folder
    write_tree(
        root,
        [
            f"{split}/{label}/{number}.png"
            for split in ("train", "test")
            for label in ("A", "B")
            for number in range(30)
        ],
    )
    listings: Counter[str] = Counter()
    scandir = os.scandir

    def count(path: str) -> object:
        listings[path] += 1
        return scandir(path)

    monkeypatch.setattr(os, "scandir", count)
    assert used(root).images == 120
    assert len(listings) == 7
    assert set(listings.values()) == {1}


@pytest.mark.slow
def test_a_tree_deeper_than_pythons_stack(tmp_path: Path) -> None:
    write_tree(tmp_path, ["B/1.png", "A/1.png"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "A")
        for _ in range(1500):
            Path("d").mkdir()
            os.chdir("d")
        try:
            assert scan_folder(str(tmp_path)).images == 2
        finally:
            # Python's own cleaning would fail on it.
            for _ in range(1500):
                os.chdir("..")
                Path("d").rmdir()


@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=40))
def test_class_from_any_name(name: str) -> None:
    label = class_from_name(name)
    assert label is None or (label and name.startswith(label))


def test_commands_report_a_layout_before_they_load_anything(tmp_path: Path) -> None:
    """The same words come from the command's first look and from the training."""
    for file in ("train/A/0.png", "train/B/0.png", "train/loose.png"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    config = TrainConfig(data=DataConfig(data_dir=(str(tmp_path),)))
    with pytest.raises(DataError, match=r"1 image is directly in train.*loose\.png") as early:
        check_settings(config)
    with pytest.raises(DataError) as late:
        find_images(config.data)
    assert str(early.value) == str(late.value)
    (tmp_path / "train/loose.png").unlink()
    check_settings(config)
