"""The images of one source or several, not yet decoded, and how several become one collection.

Images of several sources keep their own names behind the name of the source: `neu/Crazing/1.jpg`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import pyarrow
from datasets import ClassLabel, DatasetDict, Value, concatenate_datasets

from model_card.formatting import enumeration
from model_card.schema.run.data import SkippedImage
from trainer.data.folders.class_names import name_problems
from trainer.data.folders.location import Source, SourceKind
from trainer.data.folders.messages import one_class
from trainer.data.images.bit_depth import FULL_DEPTH, BitDepth
from trainer.data.images.encoded import with_column
from trainer.data.voc_boxes import BoxFolders
from trainer.text.names import listed, printable

COLUMN = "source"
SEVERAL: SourceKind = "several"


@dataclass(frozen=True)
class SourceRecord:
    """What a report says about a source.

    Attributes:
        name: unique among the sources.
        names: of the classes, as they are in the data.
        left_out: images of classes that --class-map leaves out, by their names in the data.
        revision: commit of a dataset on the Hub; None for a folder.
    """

    name: str
    kind: SourceKind
    names: list[str]
    left_out: dict[str, int] = field(default_factory=dict)
    revision: str | None = None


@dataclass
class Collection:
    """Images of folders or of the Hub, not yet decoded.

    Attributes:
        source: name of the folder or Hub id; of several sources, all names.
        origin: sentence on where the images come from, for the card.
        folders: those of the images; none if all are on the Hub.
        splits: as the data have them; all images are in `train` if there are none.
        depth: bits of the samples of all splits.
        unusable: files that can't be used, and why.
        problems: sentences on the problems that prevent training.
        notes: sentences on how the layout was interpreted.
        boxes: Pascal VOC files, by the start of the names of the images they mark.
        sources: one or more.
    """

    source: str
    kind: SourceKind
    origin: str
    splits: DatasetDict
    folders: list[Path] = field(default_factory=list)
    depth: BitDepth = field(default_factory=lambda: BitDepth(FULL_DEPTH, 0, {}))
    unusable: list[SkippedImage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    boxes: BoxFolders = field(default_factory=BoxFolders)
    sources: list[SourceRecord] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """Class names of all splits."""
        return list(next(iter(self.splits.values())).features["label"].names)

    @property
    def place(self) -> str:
        """Where the images are, for messages."""
        return str(self.folders[0]) if len(self.folders) == 1 else self.source


def one_collection(sources: Sequence[Source], found: Sequence[Collection]) -> Collection:
    """Return a single collection of the images of all sources, with the column `source`.

    Args:
        sources: one or more.
        found: the images of each.
    """
    if len(found) == 1:
        [only] = found
        only.splits = DatasetDict(
            {name: with_source(split, sources[0].name) for name, split in only.splits.items()}
        )
        return only
    labels = sorted({label for each in found for label in each.labels})
    problems = [
        f"{printable(source.name)}: {problem}"
        for source, each in zip(sources, found, strict=True)
        for problem in each.problems
    ]
    known = {problem for each in found for problem in each.problems}
    problems += [each for each in name_problems(labels) if each not in known]
    names = [source.name for source in sources]
    if len(labels) == 1:
        problems.append(one_class(listed(names), labels))
    origins = [each.origin.removeprefix("The images come from ").rstrip(".") for each in found]
    joined = Collection(
        source="+".join(names),
        kind=SEVERAL,
        origin=f"The images come from {len(found)} sources: {enumeration(origins)}.",
        splits=_joined_splits(sources, found, labels),
        folders=[folder for each in found for folder in each.folders],
        problems=problems,
        sources=[record for each in found for record in each.sources],
    )
    for source, each in zip(sources, found, strict=True):
        joined.unusable += [
            SkippedImage(file=source.prefix + bad.file, reason=bad.reason) for bad in each.unusable
        ]
        joined.notes += [f"{printable(source.name)}: {note}" for note in each.notes]
        joined.boxes = joined.boxes.joined(each.boxes, source.prefix)
    joined.notes += _partly_missing(found, names, labels)
    return joined


def _joined_splits(
    sources: Sequence[Source], found: Sequence[Collection], labels: list[str]
) -> DatasetDict:
    splits: dict[str, list[datasets.Dataset]] = {}
    for source, each in zip(sources, found, strict=True):
        numbers = [labels.index(label) for label in each.labels]
        for name, split in each.splits.items():
            relabeled = pyarrow.array([numbers[n] for n in split["label"][:]], pyarrow.int64())
            files = [source.prefix + file for file in split["file"][:]]
            rows = split.select_columns(["image"])
            rows = with_column(rows, "label", relabeled, ClassLabel(names=labels))
            rows = with_column(
                rows, "file", pyarrow.array(files, pyarrow.string()), Value("string")
            )
            splits.setdefault(name, []).append(with_source(rows, source.name))
    return DatasetDict({name: concatenate_datasets(parts) for name, parts in splits.items()})


def with_source(rows: datasets.Dataset, name: str) -> datasets.Dataset:
    """Return rows with the column `source`."""
    names = pyarrow.array([name] * len(rows), pyarrow.string())
    return with_column(rows, COLUMN, names, Value("string"))


def _partly_missing(
    found: Sequence[Collection], names: Sequence[str], labels: Sequence[str]
) -> list[str]:
    """Return a sentence for each set of sources that alone have some of the classes."""
    own = [set(each.labels) for each in found]
    only: dict[tuple[str, ...], list[str]] = {}
    for label in labels:
        having = tuple(name for name, has in zip(names, own, strict=True) if label in has)
        if len(having) < len(names):
            only.setdefault(having, []).append(label)
    return [
        f"Only {listed(having)} {'has' if len(having) == 1 else 'have'} images of "
        f"{listed(missing)}: the network may learn the source instead of the defect. If another "
        "source calls the class by another name, map it with --class-map."
        for having, missing in only.items()
    ]


def source_names(rows: datasets.Dataset) -> list[str]:
    """Return the source of each image; rows without the column are of one source."""
    return rows[COLUMN][:] if COLUMN in rows.column_names else [""] * len(rows)


def with_mapped_classes(
    splits: DatasetDict, classes: Mapping[str, str | None]
) -> tuple[DatasetDict, dict[str, int]]:
    """Return splits with the classes of the model, and the number of images left out by name.

    Args:
        splits: with the column `label`.
        classes: class of the model by name in the data; None leaves the images out.
    """
    names: list[str] = splits["train"].features["label"].names
    meant = [classes.get(name, name) for name in names]
    labels = list(dict.fromkeys(label for label in meant if label is not None))
    if labels == names:
        return splits, {}
    left_out: Counter[str] = Counter()
    mapped = DatasetDict()
    for split, rows in splits.items():
        numbers = rows["label"][:]
        kept = [place for place, number in enumerate(numbers) if meant[number] is not None]
        left_out.update(names[number] for number in numbers if meant[number] is None)
        chosen = [labels.index(meant[numbers[place]] or "") for place in kept]
        mapped[split] = with_column(
            rows.select(kept).remove_columns("label"),
            *("label", pyarrow.array(chosen, pyarrow.int64()), ClassLabel(names=labels)),
        )
    return mapped, dict(left_out)
