"""Check the paths in options before heavy imports and before anything is written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from trainer.config.settings import TrainConfig
from trainer.errors import ConfigError
from trainer.text.names import printable

LONGEST_SHOWN = 120
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_paths(config: TrainConfig) -> None:
    """Check that each file and folder in the settings can be read.

    Raises:
        ConfigError: one message that lists all unusable paths.
    """
    problems = [
        *file_problems("--split-file", config.data.split_file),
        *file_problems("--class-map", config.data.class_map),
        *file_problems("--defects", config.data.defects),
        *file_problems("--weights", config.model.weights),
        *folder_problems("--feedback", config.data.feedback),
        *folder_problems("--ood-dir", config.decision.ood_dir),
        *folder_problems("--boxes", config.checks.boxes),
        *cache_problems(config.run.cache_dir),
    ]
    raise_problems(problems)


def raise_problems(problems: list[str]) -> None:
    """Raise one error that lists all problems, if there are any."""
    if problems:
        raise ConfigError("\n".join(problems))


def file_problems(flag: str, path: Path | None) -> Iterator[str]:
    """Yield why a path is not a readable regular file; a pipe or a device would never end."""
    if path is not None:
        yield from _problems(flag, path, "a file", os.R_OK)


def folder_problems(flag: str, path: Path | None) -> Iterator[str]:
    """Yield why a path is not a readable folder."""
    if path is not None:
        yield from _problems(flag, path, "a folder", os.R_OK | os.X_OK)


def cache_problems(path: Path | None) -> Iterator[str]:
    """Yield why a path is not a folder and can't be created as one."""
    if path is not None and os.path.lexists(path):
        yield from folder_problems("--cache-dir", path)


def output_problems(flag: str, path: Path | None) -> Iterator[str]:
    """Yield why an existing or new folder can't be written."""
    if path is not None:
        reason = why_not_writable(nearest_folder(path))
        if reason:
            yield f"{flag} {shown(path)} can't be written: {reason}. Name another folder."


def nearest_folder(path: Path) -> Path:
    """Return the folder itself, or the nearest one above it that exists."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def why_not_writable(folder: Path) -> str | None:
    """Return why nothing can be created in a folder, None if it is writable."""
    if not folder.is_dir():
        return f"{shown(folder)} is not a folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"no permission to write in {shown(folder)}"
    return None


def shown(path: Path) -> str:
    """Return a path for a message; a very long one keeps its beginning and its name."""
    text = printable(str(path))
    if len(text) <= LONGEST_SHOWN:
        return text
    half = LONGEST_SHOWN // 2
    return f"{text[:half]}…{text[-half:]}"


def _problems(flag: str, path: Path, wanted: str, access: int) -> Iterator[str]:
    named = f"{flag} {shown(path)}"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        link = ": the link is broken" if path.is_symlink() else ""
        yield f"{named} does not exist{link}. Check the path."
        return
    # A NUL in the name, a name that is too long, a folder without access.
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        yield f"{named} can't be read: {words}."
        return
    kind = next((name for test, name in _KINDS if test(mode)), "something else")
    if kind != wanted:
        yield f"{named} is {kind}; {wanted} is needed."
    elif not os.access(path, access):
        yield f"{named} can't be read: no permission. Check its access rights."
