"""Copies of images, sorted into folders by verdict and class."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from space.inference.text.file_names import FileNames, safe_name
from trainer.prediction.image_files import ImageFile
from trainer.prediction.row import OUTCOMES, Row
from trainer.runtime.files import added_once, replaced_whole


class SortedCopies:
    """A folder of copies: `accepted/<class>/`, `unsure/<class>/`, `unknown/`, `unreadable/`.

    An image of several defects has a folder of all their names, joined by a plus sign.

    Args:
        folder: of the copies.
        labels: the classes of the model; they are untrusted text.
        link: whether to make symbolic links instead.
        growing: whether the list of images never ends; then names depend on the files that are
            there, and not on the images before.
    """

    def __init__(
        self, folder: Path, labels: Sequence[str], *, link: bool, growing: bool = False
    ) -> None:
        self.folder, self.link, self.growing = folder, link, growing
        folders, self._names = FileNames(), FileNames()
        # A slash in a label makes no folder.
        self._folders = {label: str(folders.free(safe_name(label))) for label in labels}

    def target(self, file: ImageFile, row: Row) -> Path:
        """Return the path of the copy; called once for each image, in order.

        The order decides the names, so a resumed command finds the same ones.
        """
        place = [OUTCOMES[row.outcome].folder, file.place]
        if row.outcome in ("class", "unsure"):
            place.insert(1, " + ".join(self._folders[label] for label in row.named))
        names = FileNames() if self.growing else self._names
        return self.folder / names.free("/".join(place))

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
        with added_once(target) if self.growing else replaced_whole(target) as partial:
            if self.link:
                partial.unlink(missing_ok=True)
                partial.symlink_to(Path(file.path).absolute())
            else:
                shutil.copyfile(file.path, partial)
