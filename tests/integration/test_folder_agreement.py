"""On any tree of folders, training and `inspect_data.py` agree: images, classes, problems."""

from __future__ import annotations

import io
import os
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from model_card.formatting import counted
from tests.support.folder_trees import write_tree
from trainer.config.groups import DataConfig
from trainer.data.collection import Collection
from trainer.data.folders.entries import IMAGE_SUFFIXES, SYSTEM_NAMES
from trainer.data.sources import FoundImages, collect_images, find_images
from trainer.data.splits.overlap_groups import Surfaces
from trainer.errors import DataError
from trainer.inspection import inspector
from trainer.inspection.report.schema import DataReport
from trainer.text.names import as_text


def encoded(kind: str, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


GOOD = [encoded(kind, seed) for seed, kind in enumerate(("PNG", "JPEG", "BMP", "GIF", "TIFF"))]
HEIC = b"\0\0\0\x18ftypheic" + bytes(12)
CONTENTS = st.sampled_from([*GOOD, *GOOD, b"", b"no image", GOOD[0][:-20], HEIC])
SUFFIXES = [".png", ".png", ".jpg", ".PNG", ".tif", ".heic", ".txt", ".xml", ""]
NASTY = "ab1 .-_[]{}*?!$~%#@'\"\\:;,|<>&()\n\t\x1b\x7fé\u0301\u200b\u202e\udcfc\udc80漢"
CLASSES = [
    *("Crazing", "crazing", "Crazing ", "Éraflure", "E\u0301raflure", "None", "null", "nan"),
    *("valid", "invalid", "train", "test", "images", "labels", "masks", "$HOME", "a::b", "[x]"),
    *("__MACOSX", "@eaDir", ".hidden", "\udcc9raflure", "1", "-"),
]
names = st.one_of(
    st.builds(
        str.__add__, st.text(NASTY, min_size=1, max_size=8), st.sampled_from(SUFFIXES)
    ).filter(lambda name: name not in (".", "..")),
    st.builds("{}_{}.png".format, st.sampled_from(["crazing", "Cr", "é"]), st.integers(0, 9)),
)
files = st.dictionaries(names, CONTENTS, min_size=1, max_size=3)
tables: st.SearchStrategy[dict[str, str | bytes]] = st.one_of(
    st.just({}),
    st.lists(st.tuples(names, st.sampled_from(["A", "B", "7", ""])), max_size=3).map(
        lambda rows: {
            "metadata.csv": "file_name,label\n"
            + "".join(f'"{as_text(name)}",{label}\n' for name, label in rows)
        }
    ),
    st.just({"_classes.csv": "filename,A,B\nCr_1.png,1,0\nCr_2.png,0,1\n"}),
)
TIDY_CLASSES = [
    "Crazing",
    "Éraflure",
    "None",
    "null",
    "train",
    "valid",
    "$HOME",
    "a::b",
    "[x]",
    "-",
]
SKIPPED = ["dangling.png", "loop.png", "device.png", "pipe.png", "up", "gone"]
# What is put in the place of a file: how it is made, given its path.
ODD: dict[str, Callable[[Path], object]] = {
    "dangling.png": lambda path: path.symlink_to("nowhere.png"),
    "loop.png": lambda path: path.symlink_to(path.name),
    "device.png": lambda path: path.symlink_to("/dev/zero"),
    "pipe.png": os.mkfifo,
    "up": lambda path: path.symlink_to(".."),
    "gone": lambda path: path.symlink_to("nowhere"),
    "deeper": lambda path: write_tree(path, {"1.png": GOOD[0]}),
}


@st.composite
def trees(draw: st.DrawFn) -> dict[str, str | bytes]:
    """Draw what lies where; a content that begins with `odd:` is made by `ODD`."""
    tree: dict[str, str | bytes] = {}
    splits = draw(
        st.sampled_from(
            [
                [""],
                [""],
                ["train/"],
                ["train/", "test/"],
                ["train/", "val/", "test/"],
                ["test/"],
                ["Train/", "valid/", "val/"],
                ["box/box/"],
            ]
        )
    )
    inner = draw(st.sampled_from(["", "", "", "images/"]))
    classes = draw(st.lists(st.sampled_from(CLASSES), max_size=3, unique=True))
    level: dict[str, str | bytes] = {}
    for split in splits:
        if not classes or draw(st.booleans()):
            level = {f"{label}/{n}": c for label in classes for n, c in draw(files).items()}
        place = split + inner
        tree |= {place + name: content for name, content in level.items()}
        for kind in draw(st.lists(st.sampled_from(sorted(ODD)), max_size=2)):
            where = draw(st.sampled_from(["", *(f"{label}/" for label in classes)]))
            tree[place + where + kind] = "odd:" + kind
        if not classes or draw(st.integers(0, 4)) == 0:
            tree |= {place + name: content for name, content in draw(files).items()}
            tree |= {place + name: content for name, content in draw(tables).items()}
        if inner:
            tree[f"{split}annotations/1.xml"] = "<annotation/>"
    return tree


@st.composite
def tidy_trees(draw: st.DrawFn) -> dict[str, str | bytes]:
    """Draw what can be used, but for single files: any names, splits, a table or class folders."""
    tree: dict[str, str | bytes] = {}
    labels = draw(st.lists(st.sampled_from(TIDY_CLASSES), min_size=2, max_size=3, unique=True))
    with_table = draw(st.booleans())
    for split in draw(st.sampled_from([["train/"], ["train/", "test/"], ["Training/", "valid/"]])):
        rows = []
        for label in labels:
            images = {f"{label}.png": draw(st.sampled_from(GOOD))} | draw(files)
            place = split if with_table else f"{split}{label}/"
            tree |= {place + name: content for name, content in images.items()}
            rows += [f'"{as_text(name)}",{label}' for name in images if '"' not in name]
        if with_table:
            tree[f"{split}metadata.csv"] = "\n".join(["file_name,label", *rows])
        elif kind := draw(st.sampled_from([None, *SKIPPED])):
            tree[f"{split}{labels[0]}/{kind}"] = "odd:" + kind
    return tree


def plant(root: Path, tree: dict[str, str | bytes]) -> None:
    """Write what was drawn; what can't lie beside the rest is left out."""
    root.mkdir()
    for name, content in tree.items():
        # A file where another one needs a folder, or a name that is too long.
        with suppress(OSError):
            if isinstance(content, str) and content.startswith("odd:"):
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                ODD[content.removeprefix("odd:")](path)
            else:
                write_tree(root, {name: content})


def outcome(data: DataConfig) -> FoundImages | str:
    """Return what training takes, or its message."""
    try:
        return find_images(data)
    except DataError as error:
        return str(error)


def looked_at(data: DataConfig) -> tuple[Collection, DataReport] | str:
    """Return what inspect_data.py finds, or its message."""
    try:
        found = collect_images(data)
    except DataError as error:
        return str(error)
    return found, inspector.inspect(found, None, None)[0]


def images_on_disk(root: Path) -> Iterator[str]:
    """Yield the names of all images that no system left behind, found in another way."""
    for folder, folders, names_here in os.walk(root):
        shown = [n for n in folders if not n.startswith(".") and n.lower() not in SYSTEM_NAMES]
        folders[:] = [name for name in shown if not Path(folder, name).is_symlink()]
        for name in names_here:
            if Path(as_text(name)).suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                yield as_text(str(Path(folder, name).relative_to(root)))


def assert_printable(message: str) -> None:
    message.encode()
    bad = {c for c in message if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")} - {"\n"}
    assert not bad


@pytest.fixture(autouse=True)
def _no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """What overlaps is another matter, and takes its time."""
    datasets.disable_progress_bars()
    monkeypatch.setattr(
        inspector,
        "find_surfaces",
        lambda images, _: Surfaces([], {file: row for row, file in enumerate(images["file"])}),
    )


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.one_of(
        st.tuples(trees(), st.booleans(), st.booleans()),
        st.tuples(tidy_trees(), st.just(False), st.booleans()),
    )
)
def test_training_and_inspection_agree(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: tuple[dict[str, str | bytes], bool, bool],
) -> None:
    tree, class_from_name, resplit = drawn
    root = tmp_path_factory.mktemp("drawn") / "steel [v2]"
    plant(root, tree)
    data = DataConfig(data_dir=(str(root),), class_from_name=class_from_name, resplit=resplit)
    strict = outcome(data)
    lenient = outcome(DataConfig(**{**vars(data), "skip_bad_images": True}))
    inspected = looked_at(data)
    for said in (strict, lenient, inspected):
        if isinstance(said, str):
            assert_printable(said)
    if isinstance(inspected, str):
        assert strict == lenient == inspected
        return
    found, report = inspected
    assert report.layout_problems == found.problems
    for sentence in [*found.problems, *found.notes]:
        assert_printable(sentence)
        assert "\n" not in sentence
    if found.problems:
        assert isinstance(strict, str)
        assert strict == lenient
        assert strict.splitlines()[1:] == [f"  {problem}" for problem in found.problems]
        return
    assert isinstance(lenient, FoundImages)
    assert isinstance(strict, str) == bool(report.unusable)
    if isinstance(strict, str):
        assert strict.startswith(f"{counted(len(report.unusable), 'file')} ")
        assert " not usable:\n" in strict
    bad = {entry.file: entry.reason for entry in report.unusable}
    assert {entry.file: entry.reason for entry in lenient.skipped} == bad
    used = {name: sorted(part["file"]) for name, part in lenient.splits.items()}
    assert report.images == sum(map(len, used.values()))
    for part in report.splits:
        labels = [
            lenient.splits[part.name].features["label"].names[n]
            for n in lenient.splits[part.name]["label"]
        ]
        assert {k: n for k, n in part.images_by_class.items() if n} == {
            label: labels.count(label) for label in labels
        }
    assert [each.label for each in report.classes] == found.labels
    # Nothing is dropped in silence.
    named = {file for split in used.values() for file in split} | bad.keys()
    ignored = [note.removesuffix(" was ignored: it contains masks.") for note in found.notes]
    for image in images_on_disk(root):
        assert image in named or any(image.startswith(f"{folder}/") for folder in ignored)


def test_class_folders_are_what_the_imagefolder_of_datasets_makes_of_them(tmp_path: Path) -> None:
    tree = {
        f"{split}/{label}/{number}.png": encoded("PNG", number)
        for split in ("train", "validation", "test")
        for label in ("10", "2", "Crazing", "a b")
        for number in range(3)
    }
    write_tree(tmp_path / "data", tree)
    theirs = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "data"), cache_dir=str(tmp_path / "cache")
    )
    ours = collect_images(DataConfig(data_dir=(str(tmp_path / "data"),))).splits
    assert set(theirs) == set(ours)
    for split, part in theirs.items():
        assert part.features["label"] == ours[split].features["label"]
        assert isinstance(ours[split].features["image"], datasets.Image)
        rows = zip(
            part.cast_column("image", datasets.Image(decode=False)), ours[split], strict=True
        )
        for their, our in rows:
            assert (their["image"], their["label"]) == (our["image"], our["label"])
