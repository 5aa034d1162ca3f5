"""Load the images of a folder or of a Hub dataset, and decode each one once.

A folder becomes the same as with `datasets`' ImageFolder: one `Dataset` per split with an Image and
a ClassLabel column. That builder is not used because it interprets paths as patterns, URLs and
shell variables, stops at the first unreadable file without naming it, copies all images into a
cache, and does not support most layouts of `trainer.data.folders.layout`.

Every split has the columns `image` (encoded: bytes or path), `label` (ClassLabel), `file` (the
name for messages and tables), `source` (the name of its source), `bit_depth` (significant bits of
samples of more than 8) and, once decoded, `size_px` (width, height).
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, DatasetDict

from model_card.formatting import counted
from model_card.schema.run.data import SkippedImage
from space.inference.images.reader import ImageError
from trainer.config.groups import DataConfig
from trainer.data.collection import (
    Collection,
    SourceRecord,
    one_collection,
    with_mapped_classes,
)
from trainer.data.folders.class_map import ClassMap, read_class_map
from trainer.data.folders.class_names import name_problems
from trainer.data.folders.entries import File
from trainer.data.folders.location import DRAWN_DIR, Source, SourceKind, find_sources
from trainer.data.folders.messages import one_class, unusable_lines, unusable_source
from trainer.data.folders.scan import scan_source
from trainer.data.hub import load_from_hub
from trainer.data.images.bit_depth import find_bit_depth, with_bit_depth
from trainer.data.images.decoding import decode_each
from trainer.data.images.encoded import image_rows, stored_image
from trainer.data.voc_boxes import BoxFolders
from trainer.errors import DataError
from trainer.monitoring.phases import PHASES
from trainer.synthetic.samples import write_samples
from trainer.text.names import printable

logger = logging.getLogger(__name__)

DRAWN_TRAIN_PER_CLASS, DRAWN_TEST_PER_CLASS = 200, 40


@dataclass(frozen=True)
class FoundImages:
    """Images that can be used for training, each decoded once.

    Attributes:
        splits: `train`, and `validation` and `test` if the data have them.
        source: as in `Collection`.
        origin: as in `Collection`.
        skipped: files that were left out, and why.
        boxes: as in `Collection`.
        sources: as in `Collection`.
    """

    splits: DatasetDict
    source: str
    kind: SourceKind
    origin: str
    skipped: list[SkippedImage]
    boxes: BoxFolders
    sources: list[SourceRecord]


def find_images(config: DataConfig) -> FoundImages:
    """Find and decode the images that `config` names.

    Raises:
        DataError: the images can't be used; the message says which, why, and what to do.
    """
    found = collect_images(config)
    if found.problems:
        raise unusable_source(found.place, found.problems)
    for note in found.notes:
        logger.info(note)
    for record in found.sources:
        for name, images in record.left_out.items():
            logger.warning(
                "Left out by --class-map: %s of %s in %s.",
                *(counted(images, "image"), printable(name), printable(record.name)),
            )
    if mixture := found.depth.mixture():
        logger.warning("WARNING: %s", mixture)
    splits, skipped = _decoded(found, skip=config.skip_bad_images)
    return FoundImages(
        *(splits, found.source, found.kind, found.origin, skipped, found.boxes, found.sources)
    )


def collect_images(config: DataConfig) -> Collection:
    """List the images that `config` names; problems are recorded, and the rest is returned.

    Raises:
        DataError: there is no image at all, or the download from the Hub failed.
    """
    sources = find_sources(config)
    if any(source.kind == "drawn" for source in sources):
        draw_images()
    PHASES.start("check")
    class_map = read_class_map(config.class_map, sources)
    read = [READERS[source.kind](source, config, class_map) for source in sources]
    class_map.check({record.name: record.names for each in read for record in each.sources})
    found = one_collection(sources, read)
    depth = find_bit_depth(found.splits)
    rows = {name: with_bit_depth(split, depth.bits) for name, split in found.splits.items()}
    return replace(found, splits=DatasetDict(rows), depth=depth)


def _read_hub(source: Source, config: DataConfig, class_map: ClassMap) -> Collection:
    splits, revision = load_from_hub(
        source.place,
        config.stream_images,
        image_column=config.image_column,
        label_column=config.label_column,
    )
    # The library's progress bars are for downloads; everything else has our own bar.
    datasets.disable_progress_bars()
    origin = "The images come from a dataset on the Hub."
    if len(config.data_dir) > 1:
        origin = f"The images come from the dataset {source.place} on the Hub."
    names = list(splits["train"].features["label"].names)
    splits, left_out = with_mapped_classes(splits, class_map.of_source(source))
    found = collected(source, origin, splits, alone=len(config.data_dir) <= 1)
    record = SourceRecord(source.name, "hub", names, left_out, revision)
    return replace(found, sources=[record], boxes=BoxFolders({}, class_map.of_boxes(source, names)))


def collected(
    source: Source, origin: str, splits: DatasetDict, *, alone: bool = True
) -> Collection:
    """Return the images of a source that is no folder, after a check of their classes.

    Args:
        source: of the images.
        origin: as in `Collection`.
        splits: `train`, perhaps `validation` and `test`, with the columns `image`, `label`, `file`.
        alone: whether no other source adds classes.
    """
    found = Collection(
        *(source.name, source.kind, origin, splits),
        sources=[
            SourceRecord(source.name, source.kind, list(splits["train"].features["label"].names))
        ],
    )
    found.problems += name_problems(found.labels)
    if alone and len(found.labels) == 1:
        found.problems.append(one_class(source.name, found.labels))
    return found


def _read_drawn(source: Source, config: DataConfig, class_map: ClassMap) -> Collection:
    origin = "The images were drawn by a program, class by class; none is a photograph."
    if len(config.data_dir) > 1:
        origin = "The images come from a program that draws them; none is a photograph."
    return replace(_read_folder(source, config, class_map), origin=origin)


def _read_folder(source: Source, config: DataConfig, class_map: ClassMap) -> Collection:
    datasets.disable_progress_bars()
    root, scan = scan_source(source, config, class_map)
    if not scan.images and (scan.problems or not scan.classes):
        raise unusable_source(str(root), scan.problems + unusable_lines(scan.unusable))
    names: set[str] = set()
    splits = DatasetDict(
        {
            split: _dataset(classes, scan.classes, scan.unusable, names)
            for split, classes in scan.splits.items()
        }
    )
    return Collection(
        source=source.name,
        kind=source.kind,
        origin=f"The images come from a folder named {source.name}.",
        splits=splits,
        folders=[root],
        unusable=scan.unusable,
        problems=scan.problems,
        notes=scan.notes,
        boxes=BoxFolders(
            {images: Path(folder) for images, folder in scan.boxes.items()},
            class_map.of_boxes(source, scan.names),
        ),
        sources=[SourceRecord(source.name, source.kind, scan.names, scan.left_out)],
    )


# Each lists the images of a source, as `--data-dir` names it.
READERS: dict[SourceKind, Callable[[Source, DataConfig, ClassMap], Collection]] = {
    "folder": _read_folder,
    "hub": _read_hub,
    "drawn": _read_drawn,
}


def draw_images() -> None:
    """Draw the sample images, unless they exist already."""
    logger.warning("These images are drawings by this program, not photographs: %s", DRAWN_DIR)
    if DRAWN_DIR.exists():
        return
    PHASES.start("draw")
    partial = DRAWN_DIR.with_name(DRAWN_DIR.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    write_samples(
        partial, train_per_class=DRAWN_TRAIN_PER_CLASS, test_per_class=DRAWN_TEST_PER_CLASS
    )
    partial.rename(DRAWN_DIR)


def _dataset(
    found: dict[str, list[File]],
    classes: list[str],
    unusable: list[SkippedImage],
    taken: set[str],
) -> Dataset:
    """Return the images of a split; of two with the same printed name, only the first."""
    numbers = {label: number for number, label in enumerate(classes)}
    images: list[dict[str, Any]] = []
    labels: list[int] = []
    names: list[str] = []
    for label, file in ((name, file) for name in sorted(found) for file in found[name]):
        reason = "its name reads like that of another file" if file.name in taken else None
        try:
            image = stored_image(file.path)
        except ImageError as error:
            reason = str(error)
        if reason:
            unusable.append(SkippedImage(file=file.name, reason=reason))
            continue
        taken.add(file.name)
        images.append(image)
        labels.append(numbers[label])
        names.append(file.name)
    return image_rows(images, labels, names, classes)


def _decoded(found: Collection, *, skip: bool) -> tuple[DatasetDict, list[SkippedImage]]:
    """Decode every image once; stop at those that can't be read, or leave them out."""
    bad = list(found.unusable)
    splits = DatasetDict()
    for name, rows in found.splits.items():
        splits[name], _, unread = decode_each(rows, f"checking {name}", lambda decoded, image: None)
        bad += unread
    if bad:
        listing = "\n".join(f"  {line}" for line in unusable_lines(bad))
        if not skip:
            raise DataError(
                f"{counted(len(bad), 'file')} {'is' if len(bad) == 1 else 'are'} not usable:\n"
                f"{listing}\n"
                "Fix or remove them, or pass --skip-bad-images to train without them."
            )
        logger.warning("Left out %s:\n%s", counted(len(bad), "file"), listing)
    return splits, bad
