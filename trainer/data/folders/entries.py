"""List folders, images and other files, without system files.

Every folder is listed once, on first access. Names may contain any bytes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trainer.text.names import as_text

# The last row can seldom be read; such files count as images, and the reader reports the problem.
IMAGE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif"),
        *(".mpo", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".pgm", ".ppm", ".pnm"),
    )
)
# Written by macOS, Windows, NAS devices, file systems and notebooks. Hidden
# files and folders are ignored, too.
SYSTEM_NAMES = frozenset(
    (
        *("__macosx", "icon\r", "network trash folder", "temporary items"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin"),
        *("recycler", "recycled", "system volume information", "zbthumbnail.info"),
        *("@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", "lost+found"),
        *("__pycache__",),
    )
)
_KINDS = {
    stat.S_ISFIFO: "a pipe (FIFO), not a file",
    stat.S_ISSOCK: "a socket, not a file",
    stat.S_ISCHR: "a device, not a file",
    stat.S_ISBLK: "a device, not a file",
}


# How datasets name the mask of an image: part1_label.bmp beside part1.jpg, 10001_GT.png.
_MASK_ENDING = re.compile(
    "(.+)[-_. ](mask|masks|label|labels|gt|ground_?truth|seg|segmentation|annotation)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class File:
    r"""A file, or another entry in its place.

    Attributes:
        path: as the operating system gives it; bytes that are not UTF-8 are lone surrogates.
        name: path below the folder that was opened first, with `/`; such bytes read `\xfc`.
        trouble: why it can't be read, if known without opening it.
    """

    path: str
    name: str
    trouble: str | None

    @property
    def basename(self) -> str:
        """Name without folders."""
        return self.name.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """Name without folders and suffix."""
        return Path(self.basename).stem

    @property
    def suffix(self) -> str:
        """Lower-case suffix with its dot, or nothing."""
        stem, dot, suffix = self.basename.rpartition(".")
        return dot + suffix.lower() if stem else ""

    @property
    def is_image(self) -> bool:
        """Whether its name is that of an image."""
        return self.suffix in IMAGE_SUFFIXES


class Folder:
    """A folder and its entries, sorted by name.

    Attributes:
        path, name: as for files; the name of the folder that was opened first is empty.
        basename: as the operating system gives it.
    """

    def __init__(self, path: str, name: str = "", above: tuple[Folder, ...] = ()) -> None:
        self.path = path
        self.name = name
        self.basename = Path(path).name
        self.above = above

    @property
    def folders(self) -> list[Folder]:
        """Subfolders, including links to folders."""
        return self._contents[0]

    @property
    def files(self) -> list[File]:
        """All other entries: files, and entries that can't be read as one."""
        return self._contents[1]

    @cached_property
    def images(self) -> list[File]:
        """Files with an image suffix."""
        return [file for file in self.files if file.is_image]

    def is_mask(self, file: File) -> bool:
        """Return whether a file is named like a mask of an image beside it."""
        masked = _MASK_ENDING.fullmatch(file.stem)
        return masked is not None and masked[1] in self._stems

    @cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(file.stem for file in self.images)

    @property
    def trouble(self) -> str | None:
        """Why the folder can't be listed."""
        return self._contents[2]

    def images_below(self) -> Iterator[File]:
        """Yield the images in it and below; links never lead into the same folder twice."""
        for folder in self.folders_below():
            yield from folder.images

    def folders_below(self) -> Iterator[Folder]:
        """Yield the folder itself and those below; links never lead into the same one twice."""
        waiting, seen = [self], set()
        while waiting:
            folder = waiting.pop()
            try:
                found = Path(folder.path).stat()
            except OSError:
                continue
            if (found.st_dev, found.st_ino) in seen:
                continue
            seen.add((found.st_dev, found.st_ino))
            yield folder
            waiting += reversed(folder.folders)

    def holds_images(self) -> bool:
        """Return whether it, or a folder below, contains an image."""
        return next(self.images_below(), None) is not None

    @cached_property
    def _contents(self) -> tuple[list[Folder], list[File], str | None]:
        if self._leads_back():
            return [], [], "a link to a folder in which it lies"
        folders: list[Folder] = []
        files: list[File] = []
        try:
            with os.scandir(self.path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            return [], [], f"it can't be read: {error.strerror}"
        for entry in entries:
            if is_ignored(entry.name):
                continue
            name = as_text(entry.name)
            name = f"{self.name}/{name}" if self.name else name
            if _is_folder(entry):
                folders.append(Folder(entry.path, name, (*self.above, self)))
            else:
                files.append(File(entry.path, name, trouble_of(entry)))
        return folders, files, None

    def _leads_back(self) -> bool:
        path = Path(self.path)
        return path.is_symlink() and any(path.samefile(folder.path) for folder in self.above)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link, or a link into a folder without access
        return False


def is_ignored(name: str) -> bool:
    """Return whether an entry with such a name is hidden, or written by the system."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def trouble_of(entry: os.DirEntry[str] | Path) -> str | None:
    """Return why an entry can't be read as a file, without opening it, since pipes block."""
    try:
        found = entry.stat()
    except FileNotFoundError:
        return "a link to a file that is not there"
    except OSError as error:
        return f"it can't be opened: {error.strerror}"
    for is_kind, kind in _KINDS.items():
        if is_kind(found.st_mode):
            return kind
    return None if found.st_size else "the file is empty"
