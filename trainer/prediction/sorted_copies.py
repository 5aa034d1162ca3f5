"""Copies of images, sorted into folders by verdict and class."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from trainer.prediction.image_files import ImageFile
from trainer.prediction.row import Row
from trainer.runtime.files import replaced_whole

FOLDERS = {"class": "accepted", "unsure": "unsure", "unknown": "unknown", "error": "unreadable"}
# A file system takes 255 bytes; a letter has at most four of them.
LONGEST_NAME = 60
# What a path must not hold on Linux, macOS or Windows.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')


class SortedCopies:
    """A folder of copies: `accepted/<class>/`, `unsure/<class>/`, `unknown/`, `unreadable/`.

    Args:
        folder: of the copies.
        labels: the classes of the model; they are untrusted text.
        link: whether to make symbolic links instead.
    """

    def __init__(self, folder: Path, labels: Sequence[str], *, link: bool) -> None:
        self.folder, self.link = folder, link
        self._taken: set[str] = set()
        self._names: dict[str, str] = {}
        for label in labels:
            name = _safe(label)
            self._names[label] = self._free(name, name, "")

    def target(self, file: ImageFile, row: Row) -> Path:
        """Return the path of the copy; called once for each image, in order.

        The order decides the names, so a resumed command finds the same ones.
        """
        place = Path(FOLDERS[row.outcome])
        if row.label is not None and row.outcome in ("class", "unsure"):
            place /= self._names[row.label]
        place = place.joinpath(*(_safe(name) for name in file.place.split("/")))
        return self.folder / self._free(str(place), str(place.with_suffix("")), place.suffix)

    def add(self, file: ImageFile, row: Row, *, resumed: bool = False) -> None:
        """Copy an image, whole or not at all; what can't be opened has no copy.

        Args:
            file: the image.
            row: its answer.
            resumed: whether an interrupted command may have copied it already.
        """
        target = self.target(file, row)
        if (resumed and os.path.lexists(target)) or not Path(file.path).is_file():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced_whole(target) as partial:
            if self.link:
                partial.unlink(missing_ok=True)
                partial.symlink_to(Path(file.path).absolute())
            else:
                shutil.copyfile(file.path, partial)

    def _free(self, name: str, stem: str, suffix: str) -> str:
        """Return a name that no other one has, also where case does not count."""
        number = 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem} ({number}){suffix}"
        self._taken.add(name.casefold())
        return name


def _safe(name: str) -> str:
    """Return a name for a file or folder, on any system."""
    safe = _UNSAFE.sub("_", name).rstrip(". ") or "_"
    if len(safe) <= LONGEST_NAME:
        return safe
    suffix = Path(safe).suffix[:8]
    return safe[: LONGEST_NAME - len(suffix)] + suffix
