"""List all images of a folder as training would take them, and note what it would refuse.

Training stops at the first mistake in a layout; here the rest is looked at all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import datasets
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from model_card.report import SkippedImage
from trainer.config import DataConfig
from trainer.data_source import find_source
from trainer.errors import DataError
from trainer.hub_images import load_from_hub
from trainer.imagefolder import IMAGE_SUFFIXES, SYSTEM_FILES, draw_images
from trainer.split import PART_NAMES, PARTS


@dataclass
class Collection:
    """What lies in a data folder, not yet opened.

    Attributes:
        name: of the folder, or the id on the Hub.
        folder: None for a dataset of the Hub.
        parts: as the data came, all in `train` where there are none; with the columns `image`
            (undecoded), `label` and `file`.
        strangers: files that are no images by their names.
        layout_problems: sentences on folders that training would refuse.
    """

    name: str
    folder: Path | None
    parts: DatasetDict
    strangers: list[SkippedImage] = field(default_factory=list)
    layout_problems: list[str] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """Class names of all parts."""
        return list(next(iter(self.parts.values())).features["label"].names)


def collect(data_dir: str, stream_images: int = 0) -> Collection:
    """List the images of a folder, or load a dataset (or some of its images) from the Hub.

    Raises:
        DataError: there is no such folder or dataset, or it holds no images at all.
    """
    config = DataConfig(data_dir=data_dir, stream_images=stream_images)
    source, kind = find_source(config)
    if kind == "drawn":
        draw_images()
    if kind == "hub":
        return Collection(source, None, load_from_hub(source, stream_images))
    # Resolved at the root alone: a link inside may be what puts an image into its class.
    return _Walk(Path(source).expanduser().resolve()).collection()


class _Walk:
    """One walk through a folder: what was found, and what training would refuse."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.strangers: list[SkippedImage] = []
        self.problems: list[str] = []
        # Part → class → images.
        self.found: dict[str, dict[str, list[Path]]] = {}

    def collection(self) -> Collection:
        """Walk, and return what was found as one Dataset a part."""
        named = [folder for folder in _folders(self.root) if folder.name.lower() in PART_NAMES]
        if named:
            self._note_strays([f for f in self.root.iterdir() if f not in named], named[0].name)
            for folder in named:
                self._enter_part(PART_NAMES[folder.name.lower()], folder)
            self._compare_parts()
        else:
            self._enter_part("train", self.root)
        classes = sorted({label for part in self.found.values() for label in part})
        if not any(files for part in self.found.values() for files in part.values()):
            known = ", ".join(sorted(IMAGE_SUFFIXES))
            raise DataError(
                f"{self.root} holds no images in class folders (known: {known}). Make a folder "
                "for each class and put its images there."
            )
        return Collection(
            name=self.root.name,
            folder=self.root,
            parts=DatasetDict(
                {
                    part: self._dataset(self.found[part], classes)
                    for part in PARTS
                    if part in self.found
                }
            ),
            strangers=self.strangers,
            layout_problems=self.problems,
        )

    def _enter_part(self, part: str, folder: Path) -> None:
        if part in self.found:
            self.problems.append(f"There are two folders for the {part} part. Merge them.")
        classes = self.found.setdefault(part, {})
        loose = [file for file in _files(folder) if file.suffix.lower() in IMAGE_SUFFIXES]
        if loose:
            self.problems.append(
                f"{self._name(loose[0])} lies beside the class folders"
                + (f", as {len(loose) - 1} more do" if loose[1:] else "")
                + ". Move images into the folder of their class."
            )
        for class_folder in _folders(folder):
            images = self._images(class_folder)
            if not images:
                self.problems.append(
                    f"The folder {self._name(class_folder)} holds no image. Add images, or remove "
                    "the folder."
                )
            classes.setdefault(class_folder.name, []).extend(images)

    def _images(self, folder: Path) -> list[Path]:
        for inner in _folders(folder):
            self.problems.append(
                f"{self._name(inner)} is a folder inside a class folder and was not looked at. "
                "Move its images up."
            )
        images = []
        for file in _files(folder):
            if file.suffix.lower() in IMAGE_SUFFIXES:
                images.append(file)
            else:
                reason = f"not an image: {file.suffix or 'no'} suffix"
                self.strangers.append(SkippedImage(file=self._name(file), reason=reason))
        return images

    def _note_strays(self, others: list[Path], part: str) -> None:
        strays = sorted(
            f.name
            for f in others
            if not f.name.startswith(".") and (f.is_dir() or f.suffix.lower() in IMAGE_SUFFIXES)
        )
        if strays:
            self.problems.append(
                f"{', '.join(strays)} beside {part} was not looked at. Move it elsewhere: only "
                "train, val and test may lie there."
            )

    def _compare_parts(self) -> None:
        if "train" not in self.found:
            self.problems.append(f"There is no train folder, only {', '.join(self.found)}.")
        everywhere = {label for part in self.found.values() for label in part}
        for part, classes in self.found.items():
            for label in sorted(everywhere - set(classes)):
                self.problems.append(
                    f"The {part} part has no folder for the class {label}. Add images of it there, "
                    "or remove the class from every part."
                )

    def _dataset(self, found: dict[str, list[Path]], classes: list[str]) -> Dataset:
        rows = [(label, file) for label, files in found.items() for file in files]
        return Dataset.from_dict(
            {
                "image": [str(file) for _, file in rows],
                "label": [label for label, _ in rows],
                "file": [self._name(file) for _, file in rows],
            },
            features=Features(
                image=datasets.Image(decode=False),
                label=ClassLabel(names=classes),
                file=Value("string"),
            ),
        )

    def _name(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()


def _folders(folder: Path) -> list[Path]:
    return [f for f in sorted(folder.iterdir()) if f.is_dir() and not f.name.startswith(".")]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder in order, without those that systems leave there."""
    for file in sorted(folder.iterdir()):
        hidden = file.name.startswith(".") or file.name.lower() in SYSTEM_FILES
        if not file.is_dir() and not hidden:
            yield file
