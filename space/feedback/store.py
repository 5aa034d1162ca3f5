"""The folder of corrections: `corrections/*.json`, and `images/<SHA-256>.png`.

A correction exists when its JSON file does. That file is renamed into place after its image is on
the disk, and neither is ever changed, so a kill at any moment leaves only whole corrections, and
several servers can write to one folder.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from .record import Correction

CORRECTIONS, IMAGES = "corrections", "images"
KEY_FILE = "thread.key"
# The Hub refuses folders of more files.
MOST_CORRECTIONS = 10_000
MOST_RECORD_BYTES = 256 * 1024
# Partial files of a killed server are deleted at this age.
ABANDONED_S = 3600.0


class FullError(Exception):
    """The folder has reached its limit."""


class Store:
    """Adds corrections to a folder.

    Args:
        folder: is created if it is missing.
        most_bytes: limit of all files together.
        lock: held while files are added.

    Raises:
        OSError: the folder can't be written.
    """

    def __init__(self, folder: Path, most_bytes: int, lock: threading.Lock | None = None) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self.lock = lock or threading.Lock()
        for name in (CORRECTIONS, IMAGES):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._delete_abandoned()
        self._key = self._read_key()

    def thread(self, visit: str, image: str) -> str:
        """Return the thread of one image in one visit of the page; see `Correction`."""
        digest = hashlib.blake2b(f"{visit}\n{image}".encode(), key=self._key, digest_size=16)
        return digest.hexdigest()

    def add(self, correction: Correction, image: bytes) -> Path:
        """Add a correction and its image; when this returns, both are on the disk.

        Raises:
            FullError: the limit is reached.
            OSError: a file can't be written.
        """
        record = (correction.model_dump_json(indent=1) + "\n").encode()
        # Sorted by time; random digits, because several servers may write at the same moment.
        name = f"{correction.time:%Y%m%dT%H%M%S%f}-{secrets.token_hex(8)}.json"
        with self.lock:
            picture = image_path(self.folder, correction)
            new = [record] if picture.exists() else [record, image]
            self._check_limit(sum(map(len, new)))
            if len(new) > 1:
                _write_once(picture, image)
            target = self.folder / CORRECTIONS / name
            _write_once(target, record)
        return target

    def _check_limit(self, added_bytes: int) -> None:
        counts, total = {CORRECTIONS: 0, IMAGES: 0}, added_bytes
        for name in counts:
            for entry in os.scandir(self.folder / name):
                # Another server may rename it at this moment.
                if entry.name.endswith(".partial"):
                    continue
                counts[name] += 1
                total += entry.stat().st_size
        if counts[CORRECTIONS] >= MOST_CORRECTIONS or total > self.most_bytes:
            raise FullError

    def _delete_abandoned(self) -> None:
        oldest = time.time() - ABANDONED_S
        for partial in self.folder.glob("*/*.partial"):
            if partial.stat().st_mtime < oldest:
                partial.unlink(missing_ok=True)

    def _read_key(self) -> bytes:
        """Return the secret of the threads; a server that starts again uses the same."""
        file = self.folder / KEY_FILE
        if not file.exists():
            _write_once(file, secrets.token_bytes(32))
        return file.read_bytes()


def image_path(folder: Path, correction: Correction) -> Path:
    """Return the path of the image of a correction."""
    return folder / IMAGES / f"{correction.image}.png"


def _write_once(target: Path, content: bytes) -> None:
    """Write a file so that it is whole and durable, or absent."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    # The name of the file is on the disk when its folder is.
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@dataclass(frozen=True)
class Stored:
    """The content of a folder of corrections.

    Attributes:
        corrections: the last one of each thread, by time.
        superseded: number of earlier ones of the same threads.
        damaged: name of each file that is no correction, and why.
    """

    corrections: list[Correction]
    superseded: int = 0
    damaged: dict[str, str] = field(default_factory=dict)


def read_corrections(folder: Path) -> Stored:
    """Read a folder of corrections; the images are not opened.

    Raises:
        OSError: the folder can't be read.
    """
    last: dict[str, Correction] = {}
    damaged: dict[str, str] = {}
    read = 0
    for name, outcome in _records(folder / CORRECTIONS):
        if isinstance(outcome, str):
            damaged[name] = outcome
            continue
        read += 1
        other = last.get(outcome.thread)
        if other is None or outcome.order > other.order:
            last[outcome.thread] = outcome
    ordered = sorted(last.values(), key=lambda correction: correction.order)
    return Stored(ordered, read - len(ordered), damaged)


def _records(folder: Path) -> Iterator[tuple[str, Correction | str]]:
    """Yield the name of each file, with its correction or why there is none."""
    for path in sorted(folder.iterdir()):
        if path.suffix != ".json":
            continue
        name = f"{CORRECTIONS}/{path.name}"
        try:
            with path.open("rb") as file:
                content = file.read(MOST_RECORD_BYTES)
            yield name, Correction.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            yield name, f"{where}: {first['msg']}"
        except OSError as error:
            yield name, f"it can't be read: {error.strerror}"
