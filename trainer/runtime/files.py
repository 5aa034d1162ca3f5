"""Atomic writes, and explained errors of the disk."""

from __future__ import annotations

import errno
import filecmp
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from trainer.errors import UserError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# safetensors and Arrow report the message of the system, but not its number.
_NO_SPACE_WORDS = ("No space left", "quota exceeded", "File too large")


@contextmanager
def replaced_whole(file: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a path to write to; it replaces `file` atomically at the end of the block.

    A failure, or a kill at any moment, leaves the previous file.

    Args:
        file: to replace.
        shared: whether other processes may write it at the same moment, as in a cache. Each then
            has a partial file of its own.
    """
    own = f".{os.getpid()}" if shared else ""
    partial = file.with_name(f"{file.name}{own}.partial")
    try:
        yield partial
        partial.replace(file)
    except BaseException:
        # An incomplete file would take up space on a full disk.
        partial.unlink(missing_ok=True)
        raise


def complete_folder(partial: Path, folder: Path) -> None:
    """Give a finished folder its name, and its files the permissions of any new file.

    safetensors writes files that only their owner can read, but another user may serve the folder.
    """
    example = partial / "new.partial"
    example.touch()
    for file in partial.rglob("*"):
        if file.is_file():
            shutil.copymode(example, file)
    example.unlink()
    partial.replace(folder)


@contextmanager
def added_once(file: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `file`, or `NAME (2)` and so on where others lie.

    A file or link with the same content is not added a second time.
    """
    partial = file.with_name(f"{file.name}.partial")
    try:
        yield partial
        target, number = file, 1
        while os.path.lexists(target):
            if _same(partial, target):
                return
            number += 1
            target = file.with_name(f"{file.stem} ({number}){file.suffix}")
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    """Return whether two files have the same content, or two links lead to the same path."""
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


@contextmanager
def disk_errors_explained(folder: Path, advice: str) -> Iterator[None]:
    """Explain errors of the disk under `folder`.

    Args:
        folder: where the block writes. Errors about files elsewhere are not changed, unless a disk
            is full.
        advice: what to do after the problem is fixed.

    Raises:
        UserError: the disk is full, or a file in `folder` can't be read or written.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = _number(error)
        if number in _NO_SPACE or any(words in str(error) for words in _NO_SPACE_WORDS):
            raise UserError(
                f"The disk is full: {folder} can't be written. Free some space. {advice}"
            ) from error
        name = _file(error)
        if isinstance(error, SafetensorError) and number:
            name = folder
        if name is None or not name.absolute().is_relative_to(folder.absolute()):
            raise
        raise UserError(
            f"{name} can't be read or written: {os.strerror(number or 0)}. Fix or remove it. "
            f"{advice}"
        ) from error


def _number(error: OSError | SafetensorError) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    quoted = re.search(r"os error (\d+)", str(error))
    return int(quoted[1]) if quoted else None


def _file(error: OSError | SafetensorError) -> Path | None:
    """Return the file of an error; of two, the one to be replaced."""
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return Path(os.fsdecode(name)) if isinstance(name, str | bytes | os.PathLike) else None
