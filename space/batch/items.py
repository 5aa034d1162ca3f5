"""The images of a batch: uploaded files, and the files in uploaded zips."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .archive import Archive, ArchiveError, is_archive, is_system_file

# In a Space on the Hub, `inference` is a sibling of this package.
if TYPE_CHECKING or __package__.startswith("space"):
    from space.inference.images.reader import ImageError
    from space.inference.text.file_names import shown_name
    from space.server.uploads import MAX_FILES
else:
    from inference.images.reader import ImageError
    from inference.text.file_names import shown_name
    from server.uploads import MAX_FILES

DELETED = "The file was not uploaded, or was deleted in the meantime. Choose it again."


class BatchError(ValueError):
    """A batch can't be used as a whole; the message says why and is shown to the visitor."""


@dataclass(frozen=True)
class Item:
    """One image, or what stands in its place.

    Attributes:
        name: fit to be shown.
        path: of the upload: the image itself, or the zip that holds it.
        member: its index in that zip; None if it is in none.
        problem: why it can't be read, if that is known.
    """

    name: str
    path: Path
    member: int | None = None
    problem: str | None = None


def collect(uploads: Sequence[tuple[Path, str]]) -> tuple[list[Item], int]:
    """Return the images of uploaded files and zips, and the number of system files left out.

    Args:
        uploads: path, and the visitor's name of the file.

    Raises:
        BatchError: there are more than `MAX_FILES` images, or none.
    """
    items: list[Item] = []
    skipped = 0
    for path, name in uploads:
        found, system_files = _items(path, shown_name(name), alone=len(uploads) == 1)
        items += found
        skipped += system_files
        if len(items) > MAX_FILES:
            raise BatchError(
                f"These are more than {MAX_FILES:,} images. Choose fewer files at once."
            )
    if not items:
        raise BatchError("No images were chosen.")
    return items, skipped


def _items(path: Path, name: str, *, alone: bool) -> tuple[list[Item], int]:
    if is_system_file(name):
        return [], 1
    try:
        if not is_archive(path):
            return [Item(name, path)], 0
        archive = Archive(path)
    except OSError:
        return [Item(name, path, problem=DELETED)], 0
    except ArchiveError as error:
        return [Item(name, path, problem=str(error))], 0
    try:
        members, skipped = archive.members(MAX_FILES)
    except ArchiveError as error:
        return [Item(name, path, problem=str(error))], 0
    finally:
        archive.close()
    # One zip is like a folder, whose name is the same for all.
    prefix = "" if alone else f"{name}/"
    items = [Item(prefix + each.name, path, each.index, each.problem) for each in members]
    return items, skipped


class Contents:
    """Reads images of a batch; the zip that was read last stays open."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._archive: Archive | None = None

    def __enter__(self) -> Contents:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._archive is not None:
            self._archive.close()

    def open(self, item: Item) -> Path | IO[bytes]:
        """Return the path of an image, or its bytes as a file if it is in a zip.

        Raises:
            ImageError: it can't be read.
        """
        if item.problem is not None:
            raise ImageError(item.problem)
        if item.member is None:
            if not item.path.is_file():
                raise ImageError(DELETED)
            return item.path
        return io.BytesIO(self._opened(item.path).content(item.member))

    def _opened(self, path: Path) -> Archive:
        if self._archive is not None:
            if self._path == path:
                return self._archive
            self._archive.close()
        self._path, self._archive = path, None
        try:
            self._archive = Archive(path)
        except ArchiveError as error:
            # Between the two readings the upload was deleted.
            raise ImageError(DELETED if not path.exists() else str(error)) from error
        return self._archive
