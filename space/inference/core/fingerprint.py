"""The fingerprint of a model, by which rows name it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def fingerprint(files: Iterable[Path]) -> str:
    """Return 12 hexadecimal digits that change when the name or content of a file does."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {checksum(file)}\n".encode())
    return digest.hexdigest()[:12]


def checksum(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
