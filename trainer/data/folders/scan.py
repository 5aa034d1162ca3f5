"""Scan a folder of images: its splits, classes, images and problems.

Training and `inspect_data.py` share this scan: training stops at any problem, the inspection shows
the same sentences and continues with the usable images.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model_card.schema.run.data import SkippedImage
from trainer.config.groups import DataConfig
from trainer.data.folders.class_map import ClassMap, read_class_map, renamed
from trainer.data.folders.class_names import class_from_name, name_problems, split_problems
from trainer.data.folders.entries import File, Folder
from trainer.data.folders.label_table import LabelTable
from trainer.data.folders.layout import Level, find_layout, place
from trainer.data.folders.location import Source, find_sources
from trainer.data.folders.messages import (
    empty_folder,
    folders_in_class,
    loose_images,
    masks_beside_images,
    one_class,
    unusable_lines,
    unusable_source,
)
from trainer.errors import DataError
from trainer.text.names import as_text, is_text, listed, printable


@dataclass
class FolderScan:
    """The content of a folder.

    Attributes:
        splits: images by split and class; all in `train` if there are no split folders.
        unusable: files that can't be used, and why.
        problems: sentences on the problems that prevent training: what, where, what to do.
        notes: how the layout was interpreted, if that is not obvious.
        boxes: folders of Pascal VOC files, by the folder (below the root) of the images they mark.
        names: of the classes, as they are in the data.
        left_out: images of classes that --class-map leaves out, by their names in the data.
    """

    splits: dict[str, dict[str, list[File]]] = field(default_factory=dict)
    unusable: list[SkippedImage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    boxes: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Class names of all splits."""
        return sorted({label for split in self.splits.values() for label in split})

    @property
    def images(self) -> int:
        """Number of images with a class."""
        return sum(len(files) for split in self.splits.values() for files in split.values())


def scan_folder(
    root: str,
    *,
    names_give_classes: bool = False,
    label_column: str | None = None,
    pooled: bool = False,
    alone: bool = True,
    classes: Mapping[str, str | None] | None = None,
) -> FolderScan:
    """Scan a folder once; only label tables are opened.

    Args:
        root: the folder.
        names_give_classes: whether images are loose and file names begin with the class.
        label_column: column of the classes in metadata files.
        pooled: whether the splits will be joined, so that their classes may differ.
        alone: whether no other source adds classes.
        classes: class by name in the data, as `ClassMap.of_source` returns it.
    """
    folder = Folder(root)
    if folder.trouble:
        return FolderScan(problems=[f"{place(folder)}: {folder.trouble}."])
    layout = find_layout(folder, loose_images=names_give_classes, label_column=label_column)
    found = FolderScan(problems=layout.problems, notes=layout.notes, boxes=layout.boxes)
    reading = _Reading(found, names_give_classes)
    for level in layout.levels:
        reading.read(level)
    reading.name_missing_files()
    found.names = found.classes
    found.splits, found.left_out = renamed(found.splits, classes or {})
    # For splits that are not joined, similar names are reported with the missing classes.
    together = [found.classes] if pooled else found.splits.values()
    found.problems += dict.fromkeys(s for labels in together for s in name_problems(labels))
    if not pooled:
        # A split without classes is a separate problem.
        found.problems += split_problems({s: list(own) for s, own in found.splits.items() if own})
    if alone and found.images and len(found.classes) == 1:
        found.problems.append(one_class(place(folder), found.classes))
    return found


def scan_source(source: Source, config: DataConfig, class_map: ClassMap) -> tuple[Path, FolderScan]:
    """Scan the folder of a source as `config` says; also return its resolved path."""
    # Only the root is resolved: a link inside may put an image into its class.
    root = Path(source.place).expanduser().resolve()
    return root, scan_folder(
        str(root),
        names_give_classes=config.class_from_name,
        label_column=config.label_column,
        pooled=config.resplit or bool(config.folds) or config.split_file is not None,
        alone=len(config.data_dir) <= 1,
        classes=class_map.of_source(source),
    )


def check_layout(config: DataConfig) -> None:
    """Check that training can use the folders, before heavy libraries are imported.

    Raises:
        DataError: one can't be used; the message lists all problems.
    """
    refused = []
    sources = find_sources(config)
    class_map = read_class_map(config.class_map, sources)
    names = {}
    for source in sources:
        if source.kind == "folder":
            root, scan = scan_source(source, config, class_map)
            names[source.name] = scan.names
            if scan.problems:
                why_none = [] if scan.images else unusable_lines(scan.unusable)
                refused.append(unusable_source(str(root), scan.problems + why_none))
    # The classes of a dataset on the Hub are not known yet.
    if len(names) == len(sources):
        class_map.check(names)
    if refused:
        raise DataError("\n".join(map(str, refused)))


class _Reading:
    """Collects the images of one split after the other."""

    def __init__(self, found: FolderScan, names_give_classes: bool) -> None:
        self.found = found
        self.names_give_classes = names_give_classes
        # For each table in use, its folder and the images that it names.
        self.used: dict[str, tuple[Folder, LabelTable, set[str]]] = {}

    def read(self, level: Level) -> None:
        """Collect the images of a split."""
        classes = self.found.splits.setdefault(level.split, {})
        table = level.table
        if table and (table.labels or table.reasons):
            self._read_by_table(classes, level, table)
            return
        if level.folder.trouble:
            self._problem(f"{place(level.folder)}: {level.folder.trouble}.")
        elif self.names_give_classes and not level.folders:
            self._read_by_names(classes, level)
        elif level.folder.images and not (table and table.broken):
            self._problem(loose_images(level))
        elif not level.folders and not level.folder.images:
            advice = "It should contain a folder of images for each class."
            self._problem(empty_folder(level.folder, advice))
        if self.names_give_classes and level.folders:
            self._problem(
                f"--class-from-name is for images without class folders, but {place(level.folder)} "
                f"has the folders {listed([f.basename for f in level.folders])}. Leave it out."
            )
        for folder in level.folders:
            if not is_text(folder.basename):
                self._problem(
                    f"The name of the class folder {place(folder)} is not UTF-8, as in archives of "
                    "old systems. Rename it."
                )
            classes.setdefault(as_text(folder.basename), []).extend(self._class_images(folder))
        # A broken link to a class folder is not listed as a folder.
        for file in level.folder.files:
            if file.trouble and not file.is_image and Path(file.path).is_symlink():
                self._problem(f"{printable(file.name)}: {file.trouble}. Restore or remove it.")

    def _read_by_table(
        self, classes: dict[str, list[File]], level: Level, table: LabelTable
    ) -> None:
        start = len(level.table_folder.name) + bool(level.table_folder.name)
        _, _, named = self.used.setdefault(
            level.table_folder.path, (level.table_folder, table, set())
        )
        for file in level.folder.images_below():
            relative = unicodedata.normalize("NFC", file.name[start:])
            named.add(relative)
            if file.trouble:
                self._skip(file, file.trouble)
            elif relative in table.labels:
                classes.setdefault(table.labels[relative], []).append(file)
            else:
                unlisted = f"it has no row in {printable(table.name)}"
                self._skip(file, table.reasons.get(relative, unlisted))

    def name_missing_files(self) -> None:
        """Report images that tables list and that do not exist."""
        for folder, table, named in self.used.values():
            listed_files = [*table.labels, *table.reasons]
            missing = [file for file in listed_files if file not in named]
            if len(missing) == len(listed_files):
                self._problem(
                    f"{printable(table.name)} lists {len(missing)} files and none of them is "
                    f"there, as {printable(missing[0])}. Their names should be paths below "
                    f"{place(folder)}."
                )
                continue
            for file in missing:
                name = f"{folder.name}/{file}" if folder.name else file
                reason = f"{printable(table.name)} lists it, but it is not there"
                self.found.unusable.append(SkippedImage(file=name, reason=reason))

    def _read_by_names(self, classes: dict[str, list[File]], level: Level) -> None:
        if not level.folder.images:
            self._problem(empty_folder(level.folder, "It should contain images."))
        for file in level.folder.images:
            label = class_from_name(file.basename)
            if file.trouble:
                self._skip(file, file.trouble)
            elif label is None:
                self._skip(file, "its name gives no class, as crazing_1.jpg does")
            else:
                classes.setdefault(label, []).append(file)

    def _class_images(self, folder: Folder) -> list[File]:
        if folder.trouble:
            self._problem(f"{place(folder)}: {folder.trouble}. Remove it or make it readable.")
            return []
        for file in folder.files:
            if file.trouble:
                self._skip(file, file.trouble)
            elif not file.is_image:
                self._skip(file, f"not an image: {file.suffix or 'no'} suffix")
        inner = [each for each in folder.folders if each.holds_images()]
        for each in folder.folders:
            if each.trouble:
                self.found.unusable.append(SkippedImage(file=each.name, reason=each.trouble))
        if inner:
            self._problem(folders_in_class(folder, inner))
        elif not folder.images:
            self._problem(empty_folder(folder, "Add images, or remove the folder."))
        masks = {file for file in folder.images if folder.is_mask(file)}
        if masks:
            self._problem(masks_beside_images(folder))
        return [file for file in folder.images if not file.trouble and file not in masks]

    def _skip(self, file: File, reason: str) -> None:
        self.found.unusable.append(SkippedImage(file=file.name, reason=reason))

    def _problem(self, sentence: str) -> None:
        self.found.problems.append(sentence)
