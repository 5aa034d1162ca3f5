"""The images that a command line names: files, folders, patterns, a list on stdin."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from model_card.formatting import counted
from trainer.config.paths import shown
from trainer.data.folders.entries import File, Folder
from trainer.errors import ConfigError
from trainer.text.names import as_text, listed, windows_path_hint

logger = logging.getLogger(__name__)

STDIN = "-"


@dataclass(frozen=True)
class ImageFile:
    r"""One image to predict.

    Attributes:
        path: as the operating system gives it; bytes that are not UTF-8 are lone surrogates.
        name: the path as text, unique in a list; such bytes read `\xfc`.
        place: the path below the folder that was named, for copies of the image.
        trouble: why it can't be read, if known without opening it.
    """

    path: str
    name: str
    place: str
    trouble: str | None = None


def list_images(paths: Iterable[str], stdin: Iterable[str]) -> list[ImageFile]:
    """Return the images in the order of the paths, each once; folders are searched by name.

    Args:
        paths: files, folders, patterns such as `coil*/top/**.png`, or `-` for a list of files
            and folders on stdin, one on a line.
        stdin: the lines of that list.

    Raises:
        ConfigError: a path of the command line does not exist, or there are no images.
    """
    found: dict[str, ImageFile] = {}
    missing: list[str] = []
    for path in paths:
        if path == STDIN:
            entries = [line.rstrip("\r\n") for line in stdin]
            named = [entry for entry in entries if entry]
        elif os.path.lexists(path):
            named = [path]
        else:
            named = _matches(path)
            if not named:
                missing.append(path)
        for file in chain.from_iterable(map(_files, named)):
            found.setdefault(file.name, file)
    if missing:
        hint = windows_path_hint(missing[0])
        raise ConfigError(f"There is no file or folder {listed(missing)}. Check the path.{hint}")
    if not found:
        raise ConfigError("There are no images to predict: no file has the suffix of an image.")
    return list(found.values())


def _matches(pattern: str) -> list[str]:
    """Return what a pattern matches, sorted; nothing if it is none."""
    return sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else []  # noqa: PTH207


def _files(path: str) -> Iterator[ImageFile]:
    """Yield the images in a folder and below; any other path is an image."""
    if not Path(path).is_dir():
        trouble = None if os.path.lexists(path) else "the file does not exist"
        yield ImageFile(path, as_text(path), as_text(Path(path).name), trouble)
        return
    others: list[File] = []
    for folder in Folder(path).folders_below():
        if folder.trouble:
            trouble = f"the folder was left out: {folder.trouble}"
            yield ImageFile(folder.path, as_text(folder.path), folder.name, trouble)
        for file in folder.files:
            if file.is_image:
                yield ImageFile(file.path, as_text(file.path), file.name, file.trouble)
            else:
                others.append(file)
    if others:
        logger.info(
            "%s in %s without the suffix of an image: %s.",
            counted(len(others), "file"),
            shown(Path(path)),
            listed([file.name for file in others], 3),
        )
