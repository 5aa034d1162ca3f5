"""Resolve each `--data-dir` to a folder or Hub dataset, before heavy libraries are imported."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from itertools import chain, combinations, count
from pathlib import Path
from typing import Literal

from trainer.config.groups import DataConfig
from trainer.errors import DataError
from trainer.text.names import (
    as_text,
    did_you_mean,
    is_text,
    listed,
    printable,
    windows_path_hint,
)

# Tried in this order if --data-dir is not given. The first is the reference spelling.
DEFAULT_DATA_DIRS = ("custom_dateset", "custom_dataset")
DRAWN_DIR = Path("drawn_samples")
# Names of folders that say nothing of what is in them.
ANY_IMAGES = frozenset(("images", "data", "dataset"))
ARCHIVE_SUFFIXES = frozenset((".zip", ".7z", ".rar", ".gz", ".tar", ".tgz"))
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)

_GIVEN_NAME = re.compile(r"[^=/\\]+=")

# Of a single source, or of several together.
SourceKind = Literal["folder", "hub", "drawn", "several"]


@dataclass(frozen=True)
class Source:
    """A folder or a Hub dataset.

    Attributes:
        place: path of the folder, or id of the dataset.
        name: the name in reports, unique among the sources of a run.
    """

    place: str
    kind: SourceKind
    name: str

    @property
    def prefix(self) -> str:
        """The start of the file names of its images, if there are several sources."""
        return f"{self.name.replace('/', '--')}/"


def find_sources(config: DataConfig) -> list[Source]:
    """Return the folders and datasets, in the order of the options. Nothing is drawn or read.

    Raises:
        DataError: one does not exist, is named twice, or can't be read as `config` requires.
    """
    sources = [_named_source(named) for named in config.data_dir] or [_default_source()]
    if config.stream_images < 0:
        raise DataError("--stream-images must be at least 0.")
    if config.stream_images and all(source.kind != "hub" for source in sources):
        places = listed([source.place for source in sources])
        raise DataError(
            f"--stream-images is for datasets on the Hub, and {places} is none. Leave it out."
        )
    for one, other in combinations(sources, 2):
        _check_apart(one, other)
    unique = _with_unique_names(sources)
    names = [source.name for source in unique]
    for name in config.train_on:
        if name not in names:
            raise DataError(
                f"--train-on {printable(name)}: there is no such source, only {listed(names)}."
                f"{did_you_mean(name, names)}"
            )
    return unique


def _check_apart(one: Source, other: Source) -> None:
    """Refuse two sources that hold the same images."""
    if one.kind == "hub" or other.kind == "hub":
        same = one.place == other.place
    else:
        paths = [Path(source.place).resolve() for source in (one, other)]
        same = paths[0].is_relative_to(paths[1]) or paths[1].is_relative_to(paths[0])
    if same:
        raise DataError(
            f"--data-dir {printable(one.place)} and --data-dir {printable(other.place)} hold the "
            "same images. Leave one of them out."
        )


def _with_unique_names(sources: list[Source]) -> list[Source]:
    """Number the sources whose name an earlier one has."""
    unique: dict[str, Source] = {}
    for source in sources:
        numbered = (replace(source, name=f"{source.name}-{n}") for n in count(2))
        named = next(s for s in chain([source], numbered) if s.prefix.casefold() not in unique)
        unique[named.prefix.casefold()] = named
    return list(unique.values())


def _named_source(named: str) -> Source:
    if not named:
        raise DataError("--data-dir is empty. It takes a folder or USER/NAME of a Hub dataset.")
    if not is_text(named):
        # The settings of a run are saved as text.
        raise DataError(f"The path --data-dir {printable(named)} is not UTF-8. Rename the folder.")
    given = _GIVEN_NAME.match(named)
    if given and not _is_folder(named):
        source = _unnamed_source(named[given.end() :])
        return replace(source, name=given[0][:-1])
    return _unnamed_source(named)


def _is_folder(named: str) -> bool:
    try:
        return Path(named).expanduser().is_dir()
    except (RuntimeError, ValueError, OSError):
        return False


def _unnamed_source(named: str) -> Source:
    if Path(named) == DRAWN_DIR:
        return _folder_source(named, "drawn")
    shown = printable(named)
    try:
        path = Path(named).expanduser()
        if path.is_dir():
            return _folder_source(str(path))
        exists = path.exists()
    # The home folder of an unknown user, a NUL in the name, a name that is too long.
    except (RuntimeError, ValueError, OSError) as error:
        raise DataError(f"--data-dir {shown} can't be a folder: {error}") from error
    if exists:
        unpack = " Unpack it first." if path.suffix.lower() in ARCHIVE_SUFFIXES else ""
        raise DataError(f"{shown} is a file. --data-dir takes a folder of class folders.{unpack}")
    if path.is_symlink():
        raise DataError(f"{shown} is a link to a folder that is not there. Restore it or fix it.")
    if _HUB_ID.fullmatch(named):
        return Source(named, "hub", named)
    raise DataError(no_such_folder(named))


def _folder_source(path: str, kind: SourceKind = "folder") -> Source:
    if kind == "folder":
        _check_readable(Path(path))
    folder = Path(path).resolve()
    # Card and tables name the images by their folder, and this name would say nothing.
    named = folder.parent if folder.name.casefold() in ANY_IMAGES and folder.parent.name else folder
    return Source(path, kind, as_text(named.name))


def no_such_folder(named: str) -> str:
    """Report that the folder does not exist, and suggest a similar one."""
    path = Path(named).expanduser()
    if named.startswith(("http://", "https://")):
        return f"--data-dir takes a folder or USER/NAME of a Hub dataset, not {printable(named)}."
    return (
        f"There is no folder {printable(str(path))}. Check the path given to --data-dir."
        f"{windows_path_hint(named) or suggested_folder(path)}"
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


def _default_source() -> Source:
    found = [name for name in DEFAULT_DATA_DIRS if Path(name).is_dir()]
    if len(found) > 1:
        raise DataError(
            f"There are two folders of images, {' and '.join(found)}. Name one with --data-dir."
        )
    return _folder_source(found[0]) if found else _folder_source(str(DRAWN_DIR), "drawn")


def _check_readable(folder: Path) -> None:
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise DataError(
            f"The folder {printable(str(folder))} can't be read: {error.strerror}. Check who may "
            "read it."
        ) from error
