"""Images of a dataset on the Hub: downloaded or streamed, they are the same ones."""

from __future__ import annotations

import functools
import io
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature

from model_card.schema.report import Report
from tests.loopback_hub import LoopbackHub
from tests.support.small_run import small_config
from trainer.config.groups import DataConfig
from trainer.data import hub as hub_datasets
from trainer.data.hub import load_from_hub
from trainer.data.sources import collect_images, find_images
from trainer.errors import DataError
from trainer.run import train
from trainer.synthetic.samples import draw_image

CLASSES = ("Crazing", "Patches")


@functools.cache
def drawn(label: str, seed: int) -> bytes:
    buffer = io.BytesIO()
    draw_image(label, seed).resize((32, 32)).save(buffer, "PNG")
    return buffer.getvalue()


def images(count: int, first: int = 0) -> dict[tuple[str, int], bytes]:
    """Draw `count` images of each class."""
    return {
        (label, seed): drawn(label, seed)
        for label in CLASSES
        for seed in range(first, first + count)
    }


@pytest.fixture(autouse=True)
def _no_pause_after_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the 5 s that `datasets` gives threads to end, in case the program ends then."""
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)


@pytest.fixture
def as_files(hub: LoopbackHub) -> dict[bytes, str]:
    """A dataset made of image files; the class of each."""
    parts = {"train": images(8), "test": images(3, first=100)}
    hub.put(
        "dataset",
        "ada/steel",
        {
            f"{part}/{label}/{seed}.png": content
            for part, contents in parts.items()
            for (label, seed), content in contents.items()
        },
    )
    return {c: label for contents in parts.values() for (label, _), c in contents.items()}


def contents(parts: DatasetDict, part: str) -> dict[bytes, str]:
    names = parts[part].features["label"].names
    return {row["image"]["bytes"]: names[row["label"]] for row in parts[part]}


def downloads(hub: LoopbackHub) -> int:
    return sum(r.method == "GET" and ".png" in r.path for r in hub.requests)


def test_no_more_images_are_read_than_asked_for(
    hub: LoopbackHub, as_files: dict[bytes, str]
) -> None:
    parts, _ = load_from_hub("ada/steel", 5)
    assert {name: len(part) for name, part in parts.items()} == {"train": 5, "test": 5}
    for part in parts:
        found = contents(parts, part)
        assert len(found) == 5
        assert found.items() <= as_files.items()
    assert downloads(hub) == 10
    # Not the first five, which are all of one class.
    assert set(contents(parts, "train").values()) == set(CLASSES)
    file = parts["train"]["file"][0]
    assert file.startswith("train/000000_")
    assert file.endswith(".png")


def test_what_was_streamed_is_kept_until_the_dataset_changes(
    hub: LoopbackHub, as_files: dict[bytes, str]
) -> None:
    first, _ = load_from_hub("ada/steel", 5)
    once = downloads(hub)
    again, _ = load_from_hub("ada/steel", 5)
    assert downloads(hub) == once
    assert [list(again[p]["file"]) for p in again] == [list(first[p]["file"]) for p in first]
    hub.put("dataset", "ada/steel", {"train/Patches/another.png": drawn("Patches", 50)})
    assert len(load_from_hub("ada/steel", 100)[0]["train"]) == 17


def test_a_stream_of_all_images_is_the_dataset(hub: LoopbackHub, as_files: object) -> None:
    streamed, downloaded = load_from_hub("ada/steel", 1000)[0], load_from_hub("ada/steel")[0]
    for part in ("train", "test"):
        files = {
            Path(row["image"]["path"]).read_bytes(): CLASSES[row["label"]]
            for row in downloaded[part]
        }
        assert contents(streamed, part) == files


def test_images_inside_of_parquet_files_are_streamed(
    hub: LoopbackHub, token: str, tmp_path: Path
) -> None:
    drawings = images(6)
    table = Dataset.from_dict(
        {
            "steel": [{"bytes": content, "path": None} for content in drawings.values()],
            "defect": [label for label, _ in drawings],
            "coil": list(range(len(drawings))),
        },
        features=Features(
            steel=ImageFeature(), defect=ClassLabel(names=list(CLASSES)), coil=Value("int32")
        ),
    )
    table.push_to_hub("ada/coils", private=True)
    parts, _ = load_from_hub("ada/coils", 7)
    assert list(parts) == ["train"]
    known = {content: label for (label, _), content in drawings.items()}
    found = contents(parts, "train")
    assert len(found) == 7
    assert found.items() <= known.items()
    assert list(parts["train"]["file"])[6] == "train/000006"


@pytest.mark.parametrize("streamed", [0, 100])
def test_words_as_labels_are_classes_of_all_splits(
    hub: LoopbackHub, token: str, streamed: int
) -> None:
    for split, labels in (("train", ["b", "a", "c", "a"]), ("test", ["c", "a"])):
        table = Dataset.from_dict(
            {
                "image": [{"bytes": drawn("Crazing", n), "path": None} for n in range(len(labels))],
                "label": labels,
                "line": list(range(len(labels))),
            },
            features=Features(image=ImageFeature(), label=Value("string"), line=Value("int64")),
        )
        table.push_to_hub("ada/words", split=split, private=True)
    parts, _ = load_from_hub("ada/words", streamed)
    expected = {"train": ["a", "a", "b", "c"], "test": ["a", "c"]}
    for split, part in parts.items():
        assert part.features["label"] == ClassLabel(names=["a", "b", "c"])
        assert sorted(part.features["label"].int2str(list(part["label"]))) == expected[split]
    by_file = contents(parts, "train")
    assert by_file[drawn("Crazing", 0)] == "b"
    assert by_file[drawn("Crazing", 2)] == "c"
    numbered, _ = load_from_hub("ada/words", streamed, label_column="line")
    assert numbered["train"].features["label"].names == ["0", "1", "2", "3"]
    with pytest.raises(DataError, match=r"Did you mean line\?"):
        load_from_hub("ada/words", streamed, label_column="lin")


def put_rows(hub: LoopbackHub, rows: list[tuple[dict[str, object] | None, str]]) -> None:
    """Put a dataset whose rows hold, or name, their images as given."""
    buffer = io.BytesIO()
    kinds = Features(image=ImageFeature(), label=Value("string"))
    table = [{"image": image, "label": label} for image, label in rows]
    # `datasets` itself would refuse to write some of these.
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table, schema=kinds.arrow_schema), buffer)
    hub.put("dataset", "ada/rows", {"train.parquet": buffer.getvalue()})


@pytest.mark.parametrize("streamed", [0, 100])
def test_rows_never_open_files_of_this_machine(
    hub: LoopbackHub, tmp_path: Path, streamed: int
) -> None:
    private = tmp_path / "private.png"
    private.write_bytes(drawn("Crazing", 1))
    put_rows(
        hub,
        [
            ({"bytes": drawn("Patches", 1), "path": "1.png"}, "a"),
            ({"bytes": None, "path": str(private)}, "b"),
        ],
    )
    with pytest.raises(DataError, match=r"names the file .*private\.png, which is not part of"):
        load_from_hub("ada/rows", streamed)


@pytest.mark.parametrize("streamed", [0, 100])
def test_the_content_of_a_row_goes_before_a_file_of_its_name(
    hub: LoopbackHub, tmp_path: Path, streamed: int
) -> None:
    private = tmp_path / "private.png"
    private.write_bytes(drawn("Crazing", 1))
    own = drawn("Patches", 1)
    put_rows(hub, [({"bytes": own, "path": str(private)}, label) for label in "aab"])
    part = load_from_hub("ada/rows", streamed)[0]["train"]
    assert [row["image"]["bytes"] for row in part] == [own] * 3
    assert part["file"][0] == "train/000000_private.png"


@pytest.mark.parametrize("streamed", [0, 100])
def test_rows_without_an_image_are_named_and_skippable(hub: LoopbackHub, streamed: int) -> None:
    """A name may hold what no file name does; the content beside it is read all the same."""
    rows: list[tuple[dict[str, object] | None, str]] = [
        ({"bytes": drawn("Crazing", 1), "path": "/etc/a\0b\n.png"}, "a"),
        ({"bytes": drawn("Patches", 1), "path": None}, "b"),
        (None, "a"),
        ({"bytes": None, "path": None}, "b"),
    ]
    put_rows(hub, rows)
    config = DataConfig(data_dir=("ada/rows",), stream_images=streamed)
    with pytest.raises(DataError, match=r"2 files are not usable:\n.*the row holds no image"):
        find_images(config)
    found = find_images(replace(config, skip_bad_images=True))
    names = [file.split("_", 1)[1:] for file in found.splits["train"]["file"]]
    assert sorted(names) == [[], [r"a\x00b\n.png"]]
    assert [each.reason for each in found.skipped] == ["the row holds no image"] * 2


def test_training_and_inspection_take_the_same_images(
    hub: LoopbackHub, as_files: dict[bytes, str], tmp_path: Path
) -> None:
    config = DataConfig(data_dir=("ada/steel",), stream_images=4)
    found = find_images(config)
    inspected = collect_images(config).splits
    assert {name: list(part["file"]) for name, part in found.splits.items()} == {
        name: list(part["file"]) for name, part in inspected.items()
    }


def test_a_streamed_dataset_is_trained_on_and_named(
    hub: LoopbackHub, as_files: dict[bytes, str], tmp_path: Path
) -> None:
    config = small_config(None, tmp_path / "run", epochs=1)
    data = replace(config.data, data_dir=("ada/steel",), stream_images=14)
    facts = Report.read(train(replace(config, data=data))).data
    images = {split.name: split.images for split in facts.splits}
    assert images["train"] + images["validation"] == 14
    assert images["test"] == 6
    assert (facts.kind, facts.source, facts.streamed_images) == ("hub", "ada/steel", 14)
    card = (tmp_path / "run/published/README.md").read_text()
    assert "No more than 14 images of each split were read." in card


def test_a_stream_that_breaks_is_explained(hub: LoopbackHub, as_files: object) -> None:
    hub.fail_next("GET train/Patches/3.png", 403, "Not for you")
    with pytest.raises(
        DataError, match=r"(?s)Not all images of ada/steel could be read.*same command"
    ):
        load_from_hub("ada/steel", 16)
    assert len(load_from_hub("ada/steel", 16)[0]["train"]) == 16


def test_a_class_that_no_streamed_image_shows_is_named(
    hub: LoopbackHub, as_files: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_datasets, "SHUFFLED_IMAGES", 1)
    with pytest.raises(DataError, match=r"first 3 images of ada/steel's train .* Patches"):
        load_from_hub("ada/steel", 3)


def test_folders_are_not_streamed(tmp_path: Path) -> None:
    for count, words in ((5, "is for datasets on the Hub"), (-1, "at least 0")):
        with pytest.raises(DataError, match=words):
            find_images(DataConfig(data_dir=(str(tmp_path),), stream_images=count))
