"""Read a folder of images: its splits, classes and images, and all that is wrong with it.

One scan serves training, which stops at any problem, and `inspect_data.py`, which shows the same
sentences and continues with what can be used.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from model_card.formatting import counted
from model_card.schema.report import SkippedImage
from trainer.config.settings import DataConfig
from trainer.data.folders.class_names import name_problems, split_problems
from trainer.data.folders.entries import File, Folder
from trainer.data.folders.label_table import LabelTable
from trainer.data.folders.layout import Level, find_layout, place
from trainer.data.folders.location import find_source
from trainer.errors import DataError
from trainer.text.names import as_text, is_text, listed, printable

# What Roboflow appends to the name of an image: crazing_1_jpg.rf.0123abcd.jpg
_ROBOFLOW = re.compile(r"[._](jpe?g|png|bmp|tiff?)\.rf\.\w+$", re.IGNORECASE)
# Digits belong to the class where a number follows after a sign, as in type2_13.
_NUMBERED = re.compile(r"(.*?[^\W\d_]\d*)(?:[\s_.()-]+\d+)+[\s)]*|(.*[^\W\d_])\d+[\s)]*", re.DOTALL)

LISTED_PROBLEMS = 10


@dataclass
class FolderScan:
    """What a folder holds.

    Attributes:
        splits: images by split and class; all in `train` where the folder is not divided.
        unusable: files that can't be used, and why.
        problems: what keeps the folder from being trained on: what, where, what to do.
        notes: how the layout was understood, where that is not plain.
        boxes: folders of Pascal VOC files, by the folder (below the root) of the images they mark.
    """

    splits: dict[str, dict[str, list[File]]] = field(default_factory=dict)
    unusable: list[SkippedImage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    boxes: dict[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Class names of all splits."""
        return sorted({label for split in self.splits.values() for label in split})

    @property
    def images(self) -> int:
        """How many images have a class."""
        return sum(len(files) for split in self.splits.values() for files in split.values())


def class_from_name(basename: str) -> str | None:
    """Return the class that a file name begins with, before its number.

    >>> class_from_name("rolled-in_scale_241.jpg")
    'rolled-in_scale'
    """
    stem = _ROBOFLOW.sub("", basename.rpartition(".")[0])
    found = _NUMBERED.fullmatch(stem)
    return found[1] or found[2] if found else None


def scan_folder(
    root: str,
    *,
    names_give_classes: bool = False,
    label_column: str | None = None,
    pooled: bool = False,
) -> FolderScan:
    """Read a folder once; nothing in it is opened but tables of labels.

    Args:
        root: the folder.
        names_give_classes: images lie loose, and the names of the files begin with the class.
        label_column: column of the classes in metadata files.
        pooled: the splits will be put together, so that they may hold different classes.
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
    # What differs between splits that stay apart is said with the classes that they lack.
    together = [found.classes] if pooled else found.splits.values()
    found.problems += dict.fromkeys(s for labels in together for s in name_problems(labels))
    if not pooled:
        # A split without classes is a problem of its own.
        found.problems += split_problems({s: list(own) for s, own in found.splits.items() if own})
    if found.images and len(found.classes) == 1:
        found.problems.append(one_class(place(folder), found.classes))
    return found


def scan_source(source: str, config: DataConfig) -> tuple[Path, FolderScan]:
    """Read the folder that `config` names, which is `source`, and return where it really lies."""
    # Resolved at the root alone: a link inside may be what puts an image into its class.
    root = Path(source).expanduser().resolve()
    return root, scan_folder(
        str(root),
        names_give_classes=config.class_from_name,
        label_column=config.label_column,
        pooled=config.resplit or bool(config.folds) or config.split_file is not None,
    )


def check_layout(config: DataConfig) -> None:
    """Make sure that training could use the folder, before anything heavy is imported.

    Raises:
        DataError: it can't; the message lists all problems.
    """
    source, kind = find_source(config)
    if kind == "folder":
        root, scan = scan_source(source, config)
        if scan.problems:
            why_none = [] if scan.images else unusable_lines(scan.unusable)
            raise unusable_source(str(root), scan.problems + why_none)


def unusable_source(source: str, problems: list[str]) -> DataError:
    """Return the error that lists what keeps a folder or a dataset from being used."""
    count = "A problem keeps" if len(problems) == 1 else f"{len(problems)} problems keep"
    listing = "\n".join(f"  {problem}" for problem in problems)
    return DataError(f"{count} {printable(source)} from being used:\n{listing}")


def unusable_lines(unusable: list[SkippedImage]) -> list[str]:
    """Return a line for each of the first files, and how many more there are."""
    shown = unusable[:LISTED_PROBLEMS]
    lines = [f"{printable(image.file)}: {printable(image.reason)}" for image in shown]
    more = len(unusable) - len(shown)
    return lines + [f"and {more} more"] * bool(more)


def one_class(source: str, classes: list[str]) -> str:
    """Say that there is one class only."""
    return (
        f"{source} has one class only ({listed(classes)}). A classifier needs two or more: add a "
        "folder for each further class."
    )


class _Reading:
    """Takes the images of one split after the other."""

    def __init__(self, found: FolderScan, names_give_classes: bool) -> None:
        self.found = found
        self.names_give_classes = names_give_classes
        # Of each table in use, the folder and the images that it names.
        self.used: dict[str, tuple[Folder, LabelTable, set[str]]] = {}

    def read(self, level: Level) -> None:
        """Take the images of a split."""
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
            self._problem(_loose(level))
        elif not level.folders and not level.folder.images:
            self._problem(_empty(level.folder, "It should hold a folder of images for each class."))
        if self.names_give_classes and level.folders:
            self._problem(
                f"--class-from-name is for images that lie loose, but {place(level.folder)} holds "
                f"the folders {listed([f.basename for f in level.folders])}. Leave it out."
            )
        for folder in level.folders:
            if not is_text(folder.basename):
                self._problem(
                    f"The name of the class folder {place(folder)} is not UTF-8, as in archives of "
                    "old systems. Rename it."
                )
            classes.setdefault(as_text(folder.basename), []).extend(self._class_images(folder))
        # A link to a class folder that is gone is no folder any more.
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
        """Name what tables list and no folder holds."""
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
            self._problem(_empty(level.folder, "It should hold images."))
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
            counts = [f"{place(each)} ({sum(1 for _ in each.images_below())})" for each in inner]
            self._problem(
                f"There are folders with images inside the class folder {place(folder)}: "
                f"{', '.join(counts)}. Move their images up into {place(folder)}, or, if they are "
                "the classes, point --data-dir at the folder that holds them."
            )
        elif not folder.images:
            self._problem(_empty(folder, "Add images, or remove the folder."))
        return [file for file in folder.images if not file.trouble]

    def _skip(self, file: File, reason: str) -> None:
        self.found.unusable.append(SkippedImage(file=file.name, reason=reason))

    def _problem(self, sentence: str) -> None:
        self.found.problems.append(sentence)


def _loose(level: Level) -> str:
    """Say which images have no class, and how they can get one."""
    images = [file.name for file in level.folder.images]
    where = place(level.folder)
    if level.folders:
        return (
            f"{counted(len(images), 'image')} {'lies' if len(images) == 1 else 'lie'} loose in "
            f"{where}, beside the class folders: "
            f"{listed(images)}. Move each into the folder of its class."
        )
    words = [
        f"{where} holds {counted(len(images), 'image')} but no class folders, so no labels: "
        f"{listed(images)}. Put them into a folder for each class, or list them in "
        f"{where}/metadata.csv with the columns file_name and label."
    ]
    if level.table and level.table.columns:
        words.append(
            f"If one of the columns {listed(level.table.columns)} of {printable(level.table.name)} "
            "holds the classes, name it with --label-column."
        )
    names = [class_from_name(file.basename) for file in level.folder.images]
    classes = Counter(name for name in names if name)
    # As many classes as images would be no classes at all.
    if 1 < len(classes) <= len(images) / 2 or (len(classes) > 1 and max(classes.values()) > 1):
        counts = [f"{name} ({count})" for name, count in sorted(classes.items())]
        words.append(
            f"The names of the files would give the classes {listed(counts)}: pass "
            "--class-from-name to take these."
        )
    if level.split != "train":
        words.append(
            f"Or move {where} elsewhere: then images of train are set aside for {level.split}."
        )
    return " ".join(words)


def _empty(folder: Folder, advice: str) -> str:
    """Say what lies in a folder without images."""
    lying = [each.basename for each in folder.folders] + [file.basename for file in folder.files]
    if not lying:
        return f"{place(folder)} is empty. {advice}"
    archives = [f.basename for f in folder.files if f.suffix in (".zip", ".7z", ".rar", ".gz")]
    unpack = f" Unpack {listed(archives)} first." if archives else ""
    return f"{place(folder)} holds no image, only {listed(lying)}.{unpack} {advice}"
