"""The upload folder of one server: which files in it are valid, and when they are deleted.

Gradio's own cleanup stops at the first file that it can't delete, and misses interrupted uploads
and the files of killed servers. Here all files in the folder are deleted by age, and the folders of
servers that no longer run are deleted when the next one starts.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

logger = logging.getLogger("space")

PREFIX = "surface-defect-space-"
LOCK_FILE = "lock"
FILES_FOLDER = "uploads"
# Files that one request may list, and images of one batch.
MAX_FILES = 2000
# Uploads are deleted 60 to 75 minutes after they arrive.
MAX_AGE_S = 3600.0
INTERVAL_S = 900.0


class UploadFolder:
    """The folder of one server's uploads, deleted when the server ends.

    Args:
        base: parent folder; by default the system's folder for temporary files.
    """

    def __init__(self, base: Path | None = None) -> None:
        base = Path(base or tempfile.gettempdir())
        base.mkdir(parents=True, exist_ok=True)
        _delete_abandoned(base)
        self._home = Path(os.path.realpath(tempfile.mkdtemp(prefix=PREFIX, dir=base)))
        # Held as long as this process lives, however it ends.
        self._lock = (self._home / LOCK_FILE).open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = self._home / FILES_FOLDER
        self.path.mkdir()
        self._ended = threading.Event()

    def find(self, name: object) -> Path | None:
        """Return the upload at this path; None if it is not a regular file of this folder.

        Only the canonical path counts: an alias (`//…`, `…/./…`, `/proc/self/…`, a link)
        could cause a file to be deleted or served under an unexpected name.
        """
        if not isinstance(name, str) or not name.startswith(f"{self.path}{os.sep}"):
            return None
        try:
            plain = os.path.realpath(name, strict=True) == name
            return Path(name) if plain and stat.S_ISREG(os.lstat(name).st_mode) else None
        # It does not exist, is too long, or contains a NUL byte.
        except (OSError, ValueError):
            return None

    def clean(self, max_age_s: float = MAX_AGE_S, now: float | None = None) -> None:
        """Delete older files, complete or interrupted, and empty folders."""
        oldest = (time.time() if now is None else now) - max_age_s
        for folder, folders, files in os.walk(self.path, topdown=False):
            for name in (*files, *folders):
                _delete(Path(folder, name), oldest)

    def clean_regularly(self) -> None:
        """Start a thread that cleans until `remove` is called, even after failures."""
        threading.Thread(target=self._clean_regularly, name="upload cleaning", daemon=True).start()

    def _clean_regularly(self) -> None:
        while not self._ended.wait(INTERVAL_S):
            try:
                self.clean()
            # One failure must not stop the cleanup.
            except Exception:
                logger.exception("Old uploads could not be deleted; trying again in 15 minutes")

    def remove(self) -> None:
        """Delete the folder and its content."""
        self._ended.set()
        shutil.rmtree(self._home, ignore_errors=True)
        self._lock.close()


def _delete(path: Path, oldest: float) -> None:
    """Delete a file or an empty folder that has not changed since `oldest`."""
    try:
        status = path.lstat()
        if status.st_ctime > oldest:
            return
        if not stat.S_ISDIR(status.st_mode):
            path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("An old upload could not be deleted: %s", error)


def _delete_abandoned(base: Path) -> None:
    """Delete the folders of killed servers, whose lock is free."""
    for home in base.glob(f"{PREFIX}*"):
        try:
            with (home / LOCK_FILE).open("rb") as lock:
                if _is_free(lock):
                    shutil.rmtree(home, ignore_errors=True)
        # The server is just starting, or belongs to another user.
        except OSError:
            continue


def _is_free(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
