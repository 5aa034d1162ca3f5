"""The images of a run: found, checked, compared with each other, split."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from datasets import Dataset, DatasetDict

from model_card.schema.run.data import SkippedImage
from trainer.config.groups import DataConfig, RunConfig
from trainer.data.collection import SourceRecord
from trainer.data.folders.location import SourceKind
from trainer.data.image_defects import COLUMN, is_multi_label, with_defects
from trainer.data.image_record import check_tables, check_unchanged, fingerprints
from trainer.data.images import bit_depth
from trainer.data.sources import FoundImages, find_images
from trainer.data.splits.corrections import Record, join, rejoin
from trainer.data.splits.given import train_on_some, with_shared_classes
from trainer.data.splits.leakage import leaking_files
from trainer.data.splits.overlap_groups import Surfaces, find_surfaces, read_surfaces
from trainer.data.splits.split import Division, divide, divide_into_folds, pooled
from trainer.data.voc_boxes import BoxFolders, choose_boxes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Images:
    """The images of a run, checked and split.

    Attributes:
        splits: `train`, `validation` and `test`, with the columns of `trainer.data.sources` and
            `group`.
        origins: for each split, a phrase on how it was made.
        division: how the test split was made.
        surfaces: images that show the same surface; None for drawings, which never do.
        contents: SHA-256 of each file, by name.
        source: name of the folder, or the Hub id; of several sources, all names.
        origin: sentence on where the images come from.
        boxes: places of the boxes; none if there are none.
        sources: one or more.
        unshared: images left out by --train-on, of classes that a source lacks.
        feedback: the corrected images in the training split; None if there are none.
    """

    splits: DatasetDict
    origins: dict[str, str]
    division: Division
    surfaces: Surfaces | None
    contents: dict[str, str]
    source: str
    kind: SourceKind
    origin: str
    skipped: list[SkippedImage]
    boxes: BoxFolders
    sources: list[SourceRecord]
    feedback: Record | None = None
    unshared: dict[str, int] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """Class names, in the order of the network's outputs."""
        return list(self.splits["train"].features["label"].names)

    @property
    def multi_label(self) -> bool:
        """Whether the defects of each image are known, not only its class."""
        return is_multi_label(self.splits["train"])

    @property
    def bit_depth(self) -> int:
        """Significant bits of samples of more than 8."""
        return int(self.splits["train"][bit_depth.COLUMN][0])

    @property
    def corrected(self) -> set[str]:
        """The files in the training split that are not of the data."""
        return self.feedback.files if self.feedback else set()

    @property
    def data_contents(self) -> dict[str, str]:
        """SHA-256 of each file of the data, by name; corrected images are named by theirs."""
        return {file: d for file, d in self.contents.items() if file not in self.corrected}

    def digest(self) -> str:
        """Return a fingerprint of split, label, name and content of all files."""
        labels = COLUMN if self.multi_label else "label"
        lines = [
            f"{name}\t{file}\t{label}\t{self.contents[file]}"
            for name, split in sorted(self.splits.items())
            for file, label in zip(split["file"][:], split[labels][:], strict=True)
        ]
        lines.append(f"{self.bit_depth} bits")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def prepare_images(
    data: DataConfig, run: RunConfig, boxes_dir: Path | None, run_dir: Path | None
) -> list[Images]:
    """Find, check, compare and split the images that `data` names.

    Args:
        data: where they are and how to split them.
        run: the seed and the cache folder.
        boxes_dir: a folder of boxes, which replaces those beside the images.
        run_dir: of a started run, whose record of shared surfaces is read, so that it is resumed
            with its own split; None for a new run.

    Returns:
        one dataset, or with --folds one per fold.

    Raises:
        DataError: the images can't be used; the message says which, why, and what to do.
        ConfigError: the run started with other images, or tables of its options were edited.
    """
    if run_dir is not None:
        check_tables(run_dir, data)
    found, unshared = _find(data, boxes_dir)
    everything = pooled(found.splits)
    contents = fingerprints(everything)
    same_as_before = run_dir is not None and check_unchanged(run_dir, contents)
    surfaces = None
    if found.kind != "drawn":
        # Changed images under the same names may have other overlaps.
        recorded = run_dir if same_as_before else None
        surfaces = _compare(everything, run.cache_dir, recorded)
    splits = _with_groups(found.splits, surfaces)
    divided = _divided(splits, data, run.seed)
    record = None
    # After the division, so that test and validation are those without feedback.
    if data.feedback is not None:
        [(splits, origins, division)] = divided
        splits, record = _joined(data.feedback, data, splits, run, run_dir)
        contents = contents | fingerprints(splits["train"])
        origins = origins | {"train": f"{origins['train']}, and corrected images of a web page"}
        divided = [(splits, origins, division)]
    tests = [splits["test"] for splits, _, _ in divided]
    boxes = choose_boxes(boxes_dir, found.boxes, tests)
    prepared = [
        Images(
            splits=splits,
            origins=origins,
            division=division,
            surfaces=surfaces,
            contents=contents,
            source=found.source,
            kind=found.kind,
            origin=found.origin,
            skipped=found.skipped,
            boxes=boxes,
            sources=found.sources,
            feedback=record,
            unshared=unshared,
        )
        for splits, origins, division in divided
    ]
    _warn_of_leakage(prepared)
    return prepared


def _find(data: DataConfig, boxes_dir: Path | None) -> tuple[FoundImages, dict[str, int]]:
    """Find the images, with their defects if those are asked for.

    Returns:
        the images; by class, the number of those left out since a source lacks their class.
    """
    found = find_images(data)
    unshared: dict[str, int] = {}
    if data.train_on:
        shared, unshared = with_shared_classes(found.splits)
        found = replace(found, splits=shared)
    if data.multi_label:
        # Before the images are compared, which takes longer.
        boxes_of = replace(found.boxes, folders={"": boxes_dir}) if boxes_dir else found.boxes
        found = replace(found, splits=with_defects(found.splits, data.defects or boxes_of))
    return found, unshared


def _compare(images: Dataset, cache_dir: Path | None, recorded: Path | None) -> Surfaces:
    """Find images of the same surface, or read what a run folder recorded of the same images."""
    surfaces = read_surfaces(recorded, images["file"][:]) if recorded else None
    return find_surfaces(images, cache_dir) if surfaces is None else surfaces


def _divided(
    splits: DatasetDict, data: DataConfig, seed: int
) -> list[tuple[DatasetDict, dict[str, str], Division]]:
    """Divide the images once, or with --folds once per fold; each with its origins."""
    divided = divide_into_folds(splits, data, seed) if data.folds else [divide(splits, data, seed)]
    if not data.train_on:
        return divided
    return [
        (train_on_some(each, data.train_on), origins, division)
        for each, origins, division in divided
    ]


def _joined(
    feedback: Path, data: DataConfig, splits: DatasetDict, run: RunConfig, run_dir: Path | None
) -> tuple[DatasetDict, Record]:
    """Join the corrected images to the training split; a resumed run takes the same again."""
    if run_dir is not None:
        joined = rejoin(feedback, splits, run_dir)
    else:
        joined = join(feedback, splits, run.cache_dir, skip_bad=data.skip_bad_images)
    return DatasetDict({**splits, "train": joined.train}), joined.record


def _with_groups(splits: DatasetDict, surfaces: Surfaces | None) -> DatasetDict:
    """Add the column `group`; without surfaces, each image is its own group."""
    grouped, first = DatasetDict(), 0
    for name, split in splits.items():
        groups = list(range(first, first + len(split)))
        if surfaces:
            groups = [surfaces.groups[file] for file in split["file"][:]]
        grouped[name] = split.add_column("group", groups)
        first += len(split)
    return grouped


def _warn_of_leakage(prepared: list[Images]) -> None:
    """Warn of test images that overlap training images; folds are counted together."""
    leaking = sum(len(leaking_files(images.splits, images.surfaces)) for images in prepared)
    if not leaking:
        return
    tested = sum(len(images.splits["test"]) for images in prepared)
    advice = (
        "leave --random-split out for an honest score."
        if prepared[0].division == "random"
        else "pass --resplit to split the images again, with no surface on both sides."
    )
    logger.warning(
        "WARNING: %d of %d test images (%.1f %%) show a piece of surface that is in the training "
        "or validation split too. The score will be too good; %s",
        leaking,
        tested,
        100 * leaking / tested,
        advice,
    )
