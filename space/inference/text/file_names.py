"""Names for files that are written from untrusted text: safe on any system, and unique."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

# A file system takes 255 bytes; a letter has at most four of them.
LONGEST_NAME = 60
LONGEST_SHOWN = 200
# What a path must not hold on Linux, macOS or Windows.
# The last ones reverse the direction of writing, so that "gnp.exe" reads as an image.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff<>:"/\\|?*\u202a-\u202e\u2066-\u2069]')
# Names of devices on Windows, with any suffix.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)", re.IGNORECASE)


class FileNames:
    """Paths that were given; the same calls in the same order give the same ones."""

    def __init__(self) -> None:
        # The number that was given last to each path.
        self._taken: dict[str, int] = {}

    def free(self, path: str) -> PurePosixPath:
        """Return a relative path like `path` that no other one has, also where case is ignored.

        >>> names = FileNames()
        >>> [str(names.free(path)) for path in ("../a.png", "../A.png")]
        ['_/a.png', '_/A (2).png']
        """
        wanted = PurePosixPath(*(safe_name(name) for name in path.split("/")))
        given, key = wanted, _key(wanted)
        number = self._taken.get(key, 0)
        while _key(given) in self._taken:
            number += 1
            given = wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
        self._taken |= {key: max(number, 1), _key(given): 1}
        return given


def safe_name(name: str) -> str:
    """Return a name for a file or folder, on any system."""
    safe = _UNSAFE.sub("_", name).rstrip(". ") or "_"
    if _DEVICE.match(safe):
        safe = f"_{safe}"
    if len(safe) <= LONGEST_NAME:
        return safe
    suffix = PurePosixPath(safe).suffix[:8]
    return safe[: LONGEST_NAME - len(suffix)].rstrip(". ") + suffix


def shown_name(name: str) -> str:
    """Return a name or path on one line, without invisible characters and not too long."""
    visible = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    if len(visible) <= LONGEST_SHOWN:
        return visible or "(no name)"
    half = LONGEST_SHOWN // 2
    return f"{visible[:half]}…{visible[1 - half :]}"


def _key(path: PurePosixPath) -> str:
    """Return the same text for paths that some file system takes for the same."""
    return unicodedata.normalize("NFC", str(path)).casefold()
