"""Find the images of a data folder: its splits, `images/` beside `annotations/`, tables.

No list of datasets is used: folders are recognized by their usual names and by their content, so a
class may be called `valid` or `images`, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from trainer.data.folders.entries import Folder
from trainer.data.folders.label_table import LabelTable, has_table, read_table
from trainer.errors import DataError
from trainer.text.names import listed, printable

# Names of splits, in folders and in datasets on the Hub.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
IMAGE_FOLDERS = frozenset(("images", "image", "imgs", "img", "jpegimages"))
ANNOTATION_FOLDERS = frozenset(
    ("annotations", "annotation", "labels", "label", "xml", "xmls", "bboxes", "boxes")
)
MASK_FOLDERS = frozenset(("ground_truth", "masks", "mask"))
# Image folders beside flat train and test folders that are not classes.
MOST_SIDE_FOLDERS = 1


@dataclass(frozen=True)
class Level:
    """A folder with the class folders, or the loose images, of one split.

    Attributes:
        given: the folder named like the split; the root folder if there are no splits.
        folders: those in `folder` that may be classes.
        table: the label table of its images, if there is one.
        table_folder: the folder of the table.
    """

    split: str
    given: Folder
    folder: Folder
    folders: list[Folder]
    table: LabelTable | None
    table_folder: Folder


@dataclass
class Layout:
    """The locations of the images.

    Attributes:
        levels: one per split folder, in the order of their names; a single one without splits.
        problems, notes, boxes: as in `trainer.data.folders.scan.FolderScan`.
    """

    levels: list[Level] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    boxes: dict[str, str] = field(default_factory=dict)


def place(folder: Folder) -> str:
    """Return the name of a folder for a message; the root is called by its own name."""
    return printable(folder.name or folder.basename or folder.path)


def find_layout(root: Folder, *, loose_images: bool, label_column: str | None) -> Layout:
    """Find the splits of a folder and their images.

    Args:
        root: the folder.
        loose_images: whether images are in no class folders.
        label_column: as for `read_table`.
    """
    search = _Search(root, loose_images, label_column)
    search.run()
    return search.layout


class _Search:
    def __init__(self, root: Folder, loose_images: bool, label_column: str | None) -> None:
        self.root = root
        self.loose_images = loose_images
        self.label_column = label_column
        self.layout = Layout()
        self.tables: dict[str, LabelTable] = {}

    def run(self) -> None:
        base, folders = self._step_in(self._unwrapped(self.root))
        splits = self._splits(base, folders)
        if not splits:
            self._add("train", base, (base, folders))
            return
        self._look_beside(base, [each for each in folders if each not in splits], splits[0])
        for folder in splits:
            self._add(SPLIT_NAMES[folder.basename.lower()], folder, self._step_in(folder), base)
        self._compare(splits)

    def _unwrapped(self, folder: Folder) -> Folder:
        """Enter the single folder that unpacked archives often add around all others."""
        inner = folder
        while len(inner.folders) == 1 and not inner.images and not has_table(inner):
            [only] = inner.folders
            named = only.basename.lower() in (*SPLIT_NAMES, *IMAGE_FOLDERS)
            if named or only.images or not any(each.holds_images() for each in only.folders):
                break
            inner = only
        if inner is not folder:
            self.layout.notes.append(f"The images were read from {place(inner)}.")
        return inner

    def _step_in(self, folder: Folder) -> tuple[Folder, list[Folder]]:
        """Enter `images/` if it has all images; record the folders beside it.

        Returns:
            the folder with the images, and its subfolders that may be classes or splits.
        """
        rest = folder.folders
        side = [f for f in rest if _is(f, ANNOTATION_FOLDERS) and not f.holds_images()]
        rest = [each for each in rest if each not in side]
        if any(_is(each, IMAGE_FOLDERS) or _is(each, SPLIT_NAMES) for each in rest):
            for masks in [each for each in rest if _is(each, MASK_FOLDERS)]:
                rest.remove(masks)
                self.layout.notes.append(f"{place(masks)} was ignored: it contains masks.")
        level = folder
        holding = [each for each in rest if each.holds_images()]
        if len(holding) == 1 and _is(holding[0], IMAGE_FOLDERS) and not folder.images:
            for each in rest:
                if each not in holding:
                    self.layout.notes.append(f"{place(each)} was ignored: it contains no images.")
            level, rest = holding[0], holding[0].folders
        for each in side:
            self._take_boxes(each, level)
        return level, rest

    def _take_boxes(self, folder: Folder, images: Folder) -> None:
        places = [folder, *folder.folders]
        if any(file.suffix == ".xml" for each in places for file in each.files):
            self.layout.boxes[images.name] = folder.path
        else:
            self.layout.notes.append(
                f"{place(folder)} was ignored: it contains no Pascal VOC boxes (.xml)."
            )

    def _splits(self, base: Folder, folders: list[Folder]) -> list[Folder]:
        """Return the split folders; none if these names are classes."""
        named = [each for each in folders if _is(each, SPLIT_NAMES)]
        others = [each for each in folders if each not in named]
        divided = any(each.folders or has_table(each) for each in named)
        if not named or divided or self.loose_images or has_table(base):
            return named
        meant = {SPLIT_NAMES[each.basename.lower()] for each in named}
        classes = [each for each in others if each.images and not _serves_a_split(each)]
        # Flat train and test folders beside each other may be a dataset without labels.
        if len(classes) < (MOST_SIDE_FOLDERS + 1 if "train" in meant and len(meant) > 1 else 1):
            return named
        taken = "a class, not for a split" if len(named) == 1 else "classes, not for splits"
        self.layout.notes.append(
            f"{listed([each.basename for each in named])} {'was' if len(named) == 1 else 'were'} "
            f"interpreted as {taken}, with images and no subfolders, as in {place(classes[0])}."
        )
        return []

    def _look_beside(self, base: Folder, others: list[Folder], split: Folder) -> None:
        """Refuse images beside the split folders, which belong to no split."""
        strays = []
        for each in others:
            images = sum(1 for _ in each.images_below())
            if images:
                strays.append(f"{place(each)} ({images} images)")
            else:
                self.layout.notes.append(f"{place(each)} was ignored: it contains no images.")
        if base.images:
            strays.append(listed([file.name for file in base.images]))
        if strays:
            self.layout.problems.append(
                f"Beside {place(split)}, which was interpreted as a split, there are "
                f"{', '.join(strays)}. Move them elsewhere: only train, val (or valid, validation) "
                f"and test may be there. If {place(split)} is a class, put all class folders into "
                "a folder called train."
            )

    def _add(
        self, split: str, given: Folder, inside: tuple[Folder, list[Folder]], *above: Folder
    ) -> None:
        folder, folders = inside
        table, table_folder = None, folder
        for each in (folder, given, *above, self.root):
            if table is None and has_table(each):
                table, table_folder = self._table(each), each
        self.layout.levels.append(Level(split, given, folder, folders, table, table_folder))

    def _table(self, folder: Folder) -> LabelTable:
        if folder.path not in self.tables:
            try:
                self.tables[folder.path] = read_table(folder, self.label_column)
            except DataError as error:
                self.layout.problems.append(str(error))
                self.tables[folder.path] = LabelTable("", broken=True)
        return self.tables[folder.path]

    def _compare(self, splits: list[Folder]) -> None:
        for name in dict.fromkeys(level.split for level in self.layout.levels):
            same = [place(level.given) for level in self.layout.levels if level.split == name]
            if len(same) > 1:
                self.layout.problems.append(
                    f"There are two folders for the {name} split: {', '.join(same)}. Merge them."
                )


def _is(folder: Folder, names: frozenset[str] | dict[str, str]) -> bool:
    return folder.basename.lower() in names


def _serves_a_split(folder: Folder) -> bool:
    """Return whether a name means masks or images, or contains a split, as train_masks."""
    words = {folder.basename.lower(), *re.split(r"[\W_]+", folder.basename.lower())}
    return bool(words & {*SPLIT_NAMES, *IMAGE_FOLDERS, *ANNOTATION_FOLDERS, *MASK_FOLDERS})
