"""The folder of a run: its state, and whether a run may start in it.

There are no heavy imports, so that a wrong folder is reported at once.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.config.paths import nearest_folder, shown, why_not_writable
from trainer.config.settings import CONFIG_FILE, TrainConfig
from trainer.errors import ConfigError, DataError
from trainer.runtime.files import replaced_whole
from trainer.text.names import printable

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)

PUBLISHED_DIR = "published"
# The folder that a new one replaces; it is there for a moment only.
PREVIOUS_DIR = "published.previous"
STARTED_FILE = "started.txt"
LOCK_FILE = "run.lock"
# Files of a run before its first checkpoint.
LEFTOVERS = (
    f"{CONFIG_FILE}*",
    f"{STARTED_FILE}*",
    "overlaps.json*",
    "images.json*",
    "feedback.json*",
    "metrics.jsonl*",
    "pixels.partial",
    "tensorboard",
    "heads",
    "fold-*",
    "*.safetensors.partial",
)
# Files of a run.
FOLDERS = (
    "published",
    "published.partial",
    PREVIOUS_DIR,
    "figures",
    "heads",
    "fold-*",
    "pixels.partial",
)
FILES = ("*.json", "*.jsonl", "*.safetensors", "*.csv", "*.partial", LOCK_FILE, STARTED_FILE)
LISTED_STRAYS = 3


@dataclass(frozen=True)
class RunContext:
    """What every stage of a run shares.

    Attributes:
        run_dir: folder of this training; with folds, that of the fold.
        started: time of the first start, which a resumed run keeps.
        accelerator: device, precision and processes.
    """

    run_dir: Path
    started: datetime
    accelerator: Accelerator


class State(Enum):
    """The state of the run in a folder."""

    EMPTY = "no run"
    UNTRAINED = "started, without a checkpoint"
    UNFINISHED = "training has started"
    FINISHED = "the published folder is there"


def finished_folder(run_dir: Path) -> Path | None:
    """Return the published folder of a finished run, None if there is none yet.

    If a kill interrupted `replace_published` between its renames, the previous folder is put back.
    """
    folder = run_dir / PUBLISHED_DIR
    if not folder.is_dir():
        # Another process may do the same.
        with suppress(FileNotFoundError):
            (run_dir / PREVIOUS_DIR).rename(folder)
    # The folder is renamed atomically after its last file is written.
    return folder if folder.is_dir() else None


def replace_published(run_dir: Path, new: Path) -> None:
    """Put a complete folder in the place of the published one.

    After a kill at any moment, `finished_folder` returns the previous folder or the new one, whole.

    Args:
        run_dir: of a finished run.
        new: on the same disk.
    """
    folder, previous = run_dir / PUBLISHED_DIR, run_dir / PREVIOUS_DIR
    shutil.rmtree(previous, ignore_errors=True)
    folder.rename(previous)
    new.rename(folder)
    shutil.rmtree(previous)


def state_of(run_dir: Path) -> State:
    """Return the state of the run in a folder.

    Raises:
        ConfigError: the folder can't be used, or has files that belong to no run.
    """
    names = _names(run_dir)
    if not names:
        return State.EMPTY
    trained = any(_checkpoints(run_dir))
    if not holds_settings(run_dir):
        known = () if trained else (LEFTOVERS if CONFIG_FILE in names else (f"{CONFIG_FILE}.*",))
        strays = [n for n in names if not any(fnmatch(n, p) for p in (*known, LOCK_FILE))]
        if strays:
            raise _strays_found(run_dir, strays)
        return State.UNTRAINED
    if finished_folder(run_dir):
        return State.FINISHED
    return State.UNFINISHED if trained else State.UNTRAINED


def check_start(run_dir: Path) -> None:
    """Check that a run can start in a folder. Nothing is written.

    Raises:
        ConfigError: the folder has other content, or can't be written.
    """
    state = state_of(run_dir)
    name = shown(run_dir)
    if state is State.FINISHED:
        raise ConfigError(
            f"{name} has a finished run. Publish it with trainer/push.py --run-dir {name}, or "
            "name another folder with --run-dir."
        )
    if state is State.UNFINISHED:
        raise ConfigError(
            f"{name} has an unfinished run. Resume it with --run-dir {name} --resume, or "
            "name another folder with --run-dir."
        )
    reason = why_not_writable(nearest_folder(run_dir))
    if reason:
        raise ConfigError(f"--run-dir {name} can't be written: {reason}. Name another folder.")


def check_only(folder: Path, names: Collection[str]) -> None:
    """Check that a folder for several runs contains nothing else.

    Raises:
        ConfigError: it has other content, or can't be used.
    """
    strays = [name for name in _names(folder) if name not in names]
    if strays:
        raise _strays_found(folder, strays)


def check_entries(run_dir: Path) -> None:
    """Check that a run can write all its files, before hours of training.

    Raises:
        ConfigError: a folder is in the place of a file, or the reverse.
    """
    for path in sorted(run_dir.iterdir()) if run_dir.is_dir() else ():
        if any(fnmatch(path.name, pattern) for pattern in FOLDERS):
            # Files written through a link would be stored elsewhere.
            right, what = path.is_dir() and not path.is_symlink(), "a folder"
        elif any(fnmatch(path.name, pattern) for pattern in FILES):
            # A broken link is reported by its reader.
            right, what = path.is_file() or not path.exists(), "a file"
        else:
            continue
        if not right:
            raise ConfigError(f"{shown(path)} is not {what}, as a run needs it. Remove it.")


def remove_leftovers(run_dir: Path) -> None:
    """Remove the files of a run that has no checkpoint yet."""
    for path in run_dir.iterdir():
        if any(fnmatch(path.name, pattern) for pattern in LEFTOVERS):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def note_start(run_dir: Path) -> None:
    """Write the current time into the folder of a run that starts."""
    with replaced_whole(run_dir / STARTED_FILE) as partial:
        partial.write_text(datetime.now(UTC).isoformat() + "\n", encoding="utf-8")


def note_resume(run_dir: Path) -> None:
    """Make sure that the folder of a resumed run says when it started."""
    file = run_dir / STARTED_FILE
    # A link that leads nowhere is reported by `read_start`.
    if not os.path.lexists(file):
        logger.warning("There is no %s: the report will say that the run started now.", file)
        note_start(run_dir)


def read_start(run_dir: Path) -> datetime:
    """Return when a run started, with its time zone.

    Raises:
        DataError: the file is damaged, missing or can't be read.
    """
    file = run_dir / STARTED_FILE
    try:
        started = datetime.fromisoformat(file.read_text(encoding="utf-8").strip())
        if started.tzinfo is None:
            raise ValueError("no time zone")
        return started
    except (OSError, ValueError) as error:
        # What a damaged file holds is not shown: a link can lead anywhere.
        reason = error.strerror if isinstance(error, OSError) else "it holds no time"
        raise DataError(
            f"{file} does not say when the run started: {reason}. Remove it and resume the run: "
            "the report will then name the time of the resume."
        ) from error


def not_writable(run_dir: Path, error: OSError) -> ConfigError:
    """Return the error for a run folder that could not be written."""
    return ConfigError(
        f"--run-dir {shown(run_dir)} can't be written: {error.strerror}. Name another folder, or "
        "check free space and permissions."
    )


def _names(run_dir: Path) -> list[str]:
    """Return the sorted entries of a folder without hidden files; empty if it does not exist."""
    try:
        return sorted(path.name for path in run_dir.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        if run_dir.is_symlink():
            raise ConfigError(
                f"--run-dir {shown(run_dir)} is a link to a missing folder."
            ) from None
        return []
    except NotADirectoryError as error:
        raise ConfigError(
            f"--run-dir {shown(run_dir)} is a file, or a path through one. Name a folder."
        ) from error
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"--run-dir {shown(run_dir)} can't be used: {words}.") from error


def holds_settings(run_dir: Path) -> bool:
    """Return whether the folder's settings are those of a run."""
    if not (run_dir / CONFIG_FILE).is_file():
        return False
    try:
        TrainConfig.read(run_dir)
    except ConfigError:
        return False
    return True


def _checkpoints(run_dir: Path) -> list[Path]:
    """Return the files of training: of the run, its folds and its heads."""
    return [path for path in run_dir.rglob("*.safetensors") if path.is_file()]


def _strays_found(folder: Path, strays: list[str]) -> ConfigError:
    return ConfigError(
        f"{shown(folder)} has files that belong to no run: {_listed(strays)}. Name another folder "
        "with --run-dir."
    )


def _listed(names: list[str]) -> str:
    listed = ", ".join(printable(name) for name in names[:LISTED_STRAYS])
    return listed + (", …" if len(names) > LISTED_STRAYS else "")
