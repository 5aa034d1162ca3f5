"""Files that are replaced whole or not at all, and what a disk refuses, in words."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from trainer.errors import UserError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# safetensors and Arrow pass on what the system says, but not its number.
_NO_SPACE_WORDS = ("No space left", "quota exceeded", "File too large")


@contextmanager
def replaced_whole(file: Path) -> Iterator[Path]:
    """Yield the path of a file to write, which takes the place of `file` once it is complete.

    A failure, or a kill at any moment, leaves the former file.
    """
    partial = file.with_name(file.name + ".partial")
    try:
        yield partial
        partial.replace(file)
    except BaseException:
        # Half a file takes up room that a full disk needs.
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def disk_errors_explained(folder: Path, advice: str) -> Iterator[None]:
    """Turn what the disk under `folder` refuses into words.

    Args:
        folder: where the block writes. Errors about files elsewhere pass, unless a disk is full.
        advice: what to do then.

    Raises:
        UserError: no room is left, or a file in `folder` can't be read or written.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = _number(error)
        if number in _NO_SPACE or any(words in str(error) for words in _NO_SPACE_WORDS):
            raise UserError(
                f"There is no room left to write in {folder}. Make some. {advice}"
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
    said = re.search(r"os error (\d+)", str(error))
    return int(said[1]) if said else None


def _file(error: OSError | SafetensorError) -> Path | None:
    """Return which file an error is about; of two, the one that was to be replaced."""
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return Path(os.fsdecode(name)) if isinstance(name, str | bytes | os.PathLike) else None
