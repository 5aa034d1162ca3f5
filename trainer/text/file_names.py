"""Names for files that are written from untrusted text: safe on any system, and unique."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

# A file system takes 255 bytes; a letter has at most four of them.
LONGEST_NAME = 60
# What a path must not hold on Linux, macOS or Windows.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff<>:"/\\|?*]')


class FileNames:
    """Paths that were given; the same calls in the same order give the same ones."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, path: str) -> PurePosixPath:
        """Return a relative path like `path` that no other one has, also where case is ignored.

        >>> names = FileNames()
        >>> [str(names.free(path)) for path in ("../a.png", "../A.png")]
        ['_/a.png', '_/A (2).png']
        """
        wanted = PurePosixPath(*(safe_name(name) for name in path.split("/")))
        given, number = wanted, 1
        while str(given).casefold() in self._taken:
            number += 1
            given = wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
        self._taken.add(str(given).casefold())
        return given


def safe_name(name: str) -> str:
    """Return a name for a file or folder, on any system."""
    safe = _UNSAFE.sub("_", name).rstrip(". ") or "_"
    if len(safe) <= LONGEST_NAME:
        return safe
    suffix = PurePosixPath(safe).suffix[:8]
    return safe[: LONGEST_NAME - len(suffix)].rstrip(". ") + suffix
