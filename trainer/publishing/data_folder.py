"""The folder of a Hub dataset: images by split, a table of labels, groups and boxes, and a card.

`datasets.load_dataset` reads it as an ImageFolder, with the same splits.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from datasets import Dataset, Features, List, Value

from model_card.schema.base import Schema
from model_card.schema.run.data import Leakage
from trainer.data.splits.dataset import Images
from trainer.data.splits.leakage import leaking_files, overlapping, random_split_leakage
from trainer.data.voc_boxes import Box, read_boxes
from trainer.publishing.data_card import data_card

METADATA_FILE, DATA_FILE, CARD_FILE = "metadata.parquet", "data_facts.json", "README.md"
# Parquet, since JSON has no type for the boxes of a split without boxes: the splits would differ.
COLUMNS = {name: Value("string") for name in ("file_name", "label", "source", "source_file")}
COLUMNS["group"] = Value("int64")
OBJECTS = {"bbox": List(List(Value("float64"))), "category": List(Value("string"))}
# The Hub allows 10,000 files in a folder.
IMAGES_PER_FOLDER = 1000


class DataFacts(Schema):
    """What the card of a dataset states; a repository with this file was published by us."""

    labels: list[str]
    images: dict[str, dict[str, int]]
    """Images by split and class."""
    origins: dict[str, str]
    """How each split was made."""
    skipped: int
    """Files that can't be read and were left out."""
    groups: int | None
    """Pieces of surface; None: drawings are not compared."""
    pairs: int
    """Pairs of images that share surface."""
    leakage: list[Leakage]
    random_split: float | None
    """Share of the test images that would leak in a random split."""
    boxed: int
    """Images with boxes."""


def write_data_folder(images: Images, folder: Path, license_id: str | None) -> DataFacts:
    """Write the folder of a dataset; image files become links to the originals.

    Raises:
        DataError: the boxes can't be read.
    """
    files = [file for split in images.splits.values() for file in split["file"][:]]
    boxes = read_boxes(images.boxes, files) if images.boxes else {}
    for name, split in images.splits.items():
        _write_split(split, images.labels, folder / name, boxes)
    facts = describe(images, boxed=len(boxes))
    (folder / DATA_FILE).write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")
    card = data_card(facts.model_dump(), license_id)
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    return facts


def _write_split(
    split: Dataset, labels: list[str], folder: Path, boxes: dict[str, list[Box]]
) -> None:
    folder.mkdir()
    entries = []
    for number, row in enumerate(split):
        name = _stored_name(number, row["file"])
        place = folder / name
        place.parent.mkdir(exist_ok=True)
        if row["image"]["bytes"] is not None:
            place.write_bytes(row["image"]["bytes"])
        else:
            place.symlink_to(Path(row["image"]["path"]).absolute())
        entry: dict[str, Any] = {
            "file_name": name,
            "label": labels[row["label"]],
            "group": row["group"],
            "source": row["source"],
            "source_file": row["file"],
        }
        if boxes:
            entry["objects"] = _coco(boxes.get(row["file"], []), row["size_px"])
        entries.append(entry)
    features = Features(COLUMNS | ({"objects": OBJECTS} if boxes else {}))
    Dataset.from_list(entries, features=features).to_parquet(folder / METADATA_FILE)


def _stored_name(number: int, file: str) -> str:
    """Return a name without the characters that some file systems or patterns refuse."""
    suffix = PurePosixPath(file).suffix.lower()
    return f"{number // IMAGES_PER_FOLDER:03d}/{number:06d}{suffix}"


def _coco(boxes: list[Box], size_px: list[int]) -> dict[str, list[Any]]:
    """Return boxes as COCO writes them: left, top, width and height in pixels."""
    width, height = size_px
    return {
        "bbox": [
            [
                round(box.left * width, 2),
                round(box.top * height, 2),
                round((box.right - box.left) * width, 2),
                round((box.bottom - box.top) * height, 2),
            ]
            for box in boxes
        ],
        "category": [box.name for box in boxes],
    }


def describe(images: Images, boxed: int) -> DataFacts:
    """Return the facts of the card: classes, splits and leaks."""
    splits, surfaces = images.splits, images.surfaces
    labels = {
        file: label
        for split in splits.values()
        for file, label in zip(split["file"][:], split["label"][:], strict=True)
    }
    leakage, random_share = [], None
    if surfaces:
        train, validation = (splits[name]["file"][:] for name in ("train", "validation"))
        tested = len(splits["test"])
        in_validation = len(overlapping(surfaces, validation, train))
        leaking = len(leaking_files(splits, surfaces))
        leakage = [
            Leakage(
                split="validation", seen_in="training", images=in_validation, of=len(validation)
            ),
            Leakage(split="test", seen_in="training or validation", images=leaking, of=tested),
        ]
        random_share, _ = random_split_leakage(surfaces, labels, tested / len(labels))
    return DataFacts(
        labels=images.labels,
        images={
            name: {
                label: split["label"][:].count(number) for number, label in enumerate(images.labels)
            }
            for name, split in splits.items()
        },
        origins=images.origins,
        skipped=len(images.skipped),
        groups=len(set(surfaces.groups.values())) if surfaces else None,
        pairs=len(surfaces.pairs) if surfaces else 0,
        leakage=leakage,
        random_split=random_share,
        boxed=boxed,
    )
