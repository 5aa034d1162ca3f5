"""Read the files of an untrusted zip, one at a time and in memory; nothing is extracted."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

# In a Space on the Hub, `inference` is a sibling of this package.
if TYPE_CHECKING or __package__.startswith("space"):
    from space.inference.images.reader import MAX_FILE_BYTES, ImageError
    from space.inference.text.file_names import shown_name
else:
    from inference.images.reader import MAX_FILE_BYTES, ImageError
    from inference.text.file_names import shown_name

# Each of these signatures begins a zip: with files, empty, or in several pieces.
SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
# The list of files is read as a whole: enough for 20,000 names of usual length.
MAX_DIRECTORY_BYTES = 4 * 2**20
MAX_UNPACKED_BYTES = 2 * 2**30
# Photographs do not shrink to a hundredth.
MAX_RATIO, RATIO_FROM_BYTES = 100, 100 * 2**20
CHUNK_BYTES = 2**16
ENCRYPTED_FLAG = 0x1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
PACKED_SUFFIXES = frozenset((".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"))
# What macOS and Windows add to folders.
SYSTEM_FOLDERS = frozenset(("__MACOSX",))
SYSTEM_FILES = frozenset((".DS_Store", "Thumbs.db", "desktop.ini"))


class ArchiveError(ValueError):
    """A zip can't be used; the message says why and is shown to the visitor."""


@dataclass(frozen=True)
class Member:
    """A file in a zip.

    Attributes:
        index: its position in the zip's list, which identifies it: names may repeat.
        name: its path there, fit to be shown; never used as a path on this machine.
        problem: why it can't be read; None if nothing speaks against it so far.
    """

    index: int
    name: str
    problem: str | None


class Archive:
    """An open zip file.

    Args:
        path: of the zip.

    Raises:
        ArchiveError: it is not a zip, is damaged, or its list of files is too long.
    """

    def __init__(self, path: Path) -> None:
        self._file: io.RawIOBase | None = None
        try:
            self._file = _BoundedFile(path)
            self._zip = zipfile.ZipFile(self._file)
        except ArchiveError:
            self.close()
            raise
        # zipfile raises many errors on damaged data: BadZipFile, struct.error, ValueError, …
        except Exception as error:
            self.close()
            raise ArchiveError("The zip is damaged or incomplete. Create it again.") from error
        # ZipInfo.is_dir() fails on an empty name.
        self._files = [info for info in self._zip.infolist() if not info.filename.endswith("/")]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def members(self, at_most: int) -> tuple[list[Member], int]:
        """Return the files, and the number of files of the operating system that are left out.

        Args:
            at_most: the largest number of files.

        Raises:
            ArchiveError: there are more, none, or they are too large together.
        """
        chosen = [i for i, info in enumerate(self._files) if not is_system_file(info.filename)]
        if len(chosen) > at_most:
            raise ArchiveError(
                f"The zip holds {len(chosen):,} files; at most {at_most:,} can be read at once. "
                "Split it."
            )
        if not chosen:
            raise ArchiveError("The zip holds no files.")
        self._check_size()
        members = [
            Member(index, shown_name(self._files[index].filename), _problem(self._files[index]))
            for index in chosen
        ]
        return members, len(self._files) - len(chosen)

    def content(self, index: int) -> bytes:
        """Return the bytes of a file.

        Raises:
            ImageError: it can't be read; the message says why.
        """
        info = self._files[index]
        problem = _problem(info)
        if problem:
            raise ImageError(problem)
        content = io.BytesIO()
        try:
            with self._zip.open(info) as file:
                # The declared size is the most that zipfile returns; it was checked.
                while chunk := file.read(CHUNK_BYTES):
                    content.write(chunk)
        # As above; zlib.error, EOFError and NotImplementedError, too.
        except Exception as error:
            raise ImageError("This file is damaged in the zip. Create the zip again.") from error
        if content.getbuffer()[:4] in SIGNATURES:
            raise ImageError("This is a zip within the zip, which is not opened.")
        return content.getvalue()

    def _check_size(self) -> None:
        unpacked = sum(info.file_size for info in self._files)
        packed = os.fstat(self._file.fileno()).st_size if self._file else 0
        if unpacked > MAX_UNPACKED_BYTES:
            raise ArchiveError(
                f"The files in the zip have {unpacked / 2**30:,.1f} GB; at most "
                f"{MAX_UNPACKED_BYTES // 2**30} GB can be read at once. Split it."
            )
        if unpacked > max(RATIO_FROM_BYTES, MAX_RATIO * packed):
            raise ArchiveError(
                f"The files in the zip have {unpacked // max(packed, 1):,} times its size, which "
                "photographs never have. Choose the files without a zip."
            )


class _BoundedFile(io.FileIO):
    """A file of which a hostile list of contents can't make zipfile read much at once."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > MAX_DIRECTORY_BYTES:
            raise ArchiveError(
                f"The zip's list of files has more than {MAX_DIRECTORY_BYTES // 2**20} MB. Split "
                "the zip."
            )
        return super().read(size) or b""


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip, whatever its name.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return file.read(4) in SIGNATURES


def is_system_file(name: str) -> bool:
    """Return whether an operating system, and not a person, put a file into a folder."""
    path = PurePosixPath(name)
    return path.name in SYSTEM_FILES or not SYSTEM_FOLDERS.isdisjoint(path.parts)


def _problem(info: zipfile.ZipInfo) -> str | None:
    """Return why a file of a zip can't be read, as far as the zip's list says."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "This is a link or a special file, not an image."
    if info.flag_bits & ENCRYPTED_FLAG:
        return "This file is encrypted. Create the zip without a password."
    if PurePosixPath(info.filename).suffix.lower() in PACKED_SUFFIXES:
        return "This is an archive within the zip, which is not opened."
    if info.compress_type not in METHODS:
        return "This file is compressed in an unusual way. Create the zip with the Deflate method."
    if info.file_size > MAX_FILE_BYTES:
        return f"The file is larger than {MAX_FILE_BYTES // 2**20} MB."
    return None
