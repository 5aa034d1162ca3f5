"""Resolve `--data-dir` to a folder or Hub dataset, before heavy libraries are imported."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from trainer.config.groups import DataConfig
from trainer.errors import DataError
from trainer.text.names import did_you_mean, is_text, printable

# Tried in this order if --data-dir is not given. The first is the reference spelling.
DEFAULT_DATA_DIRS = ("custom_dateset", "custom_dataset")
DRAWN_DIR = Path("drawn_samples")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)

SourceKind = Literal["folder", "hub", "drawn"]


def find_source(config: DataConfig) -> tuple[str, SourceKind]:
    """Return the folder or dataset and its kind. Nothing is drawn or read.

    Raises:
        DataError: it does not exist, or can't be read as `config` requires.
    """
    source, kind = _named_source(config)
    if config.stream_images < 0:
        raise DataError("--stream-images must be at least 0.")
    if config.stream_images and kind != "hub":
        raise DataError(
            f"--stream-images is for datasets on the Hub, and {printable(source)} is none. "
            "Leave it out."
        )
    return source, kind


def _named_source(config: DataConfig) -> tuple[str, SourceKind]:
    if config.data_dir is None:
        return _default_source()
    named = config.data_dir
    if not named:
        raise DataError("--data-dir is empty. It takes a folder or USER/NAME of a Hub dataset.")
    if not is_text(named):
        # The settings of a run are saved as text.
        raise DataError(f"The path --data-dir {printable(named)} is not UTF-8. Rename the folder.")
    if Path(named) == DRAWN_DIR:
        return named, "drawn"
    shown = printable(named)
    try:
        path = Path(named).expanduser()
        if path.is_dir():
            _check_readable(path)
            return str(path), "folder"
        exists = path.exists()
    # The home folder of an unknown user, a NUL in the name, a name that is too long.
    except (RuntimeError, ValueError, OSError) as error:
        raise DataError(f"--data-dir {shown} can't be a folder: {error}") from error
    if exists:
        raise DataError(f"{shown} is a file. --data-dir takes a folder of class folders.")
    if path.is_symlink():
        raise DataError(f"{shown} is a link to a folder that is not there. Restore it or fix it.")
    if _HUB_ID.fullmatch(named):
        return named, "hub"
    raise DataError(no_such_folder(named))


def no_such_folder(named: str) -> str:
    """Report that the folder does not exist, and suggest a similar one."""
    path = Path(named).expanduser()
    if named.startswith(("http://", "https://")):
        return f"--data-dir takes a folder or USER/NAME of a Hub dataset, not {printable(named)}."
    return (
        f"There is no folder {printable(str(path))}. Check the path given to --data-dir."
        f"{suggested_folder(path)}"
    )


def suggested_folder(path: Path) -> str:
    """Return ` Did you mean …?` for a mistyped path; of several missing folders, the first."""
    while not path.parent.is_dir():
        path = path.parent
    try:
        with os.scandir(path.parent) as found:
            siblings = [entry.name for entry in found if entry.is_dir()]
    except OSError:
        return ""
    return did_you_mean(path.name, siblings)


def _default_source() -> tuple[str, SourceKind]:
    found = [name for name in DEFAULT_DATA_DIRS if Path(name).is_dir()]
    if len(found) > 1:
        raise DataError(
            f"There are two folders of images, {' and '.join(found)}. Name one with --data-dir."
        )
    if not found:
        return str(DRAWN_DIR), "drawn"
    _check_readable(Path(found[0]))
    return found[0], "folder"


def _check_readable(folder: Path) -> None:
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise DataError(
            f"The folder {printable(str(folder))} can't be read: {error.strerror}. Check who may "
            "read it."
        ) from error
