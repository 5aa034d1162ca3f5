"""Folder trees for tests, written from a list of paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

# Enough for a scan, which opens no image.
SOME_BYTES = b"x"


def write_tree(root: Path, files: Iterable[str] | Mapping[str, str | bytes]) -> Path:
    """Write files, with what they hold where it is given; a path that ends in `/` is a folder."""
    contents = dict.fromkeys(files, SOME_BYTES) if not isinstance(files, Mapping) else files
    for name, content in contents.items():
        path = Path(os.fsdecode(os.fsencode(root) + b"/" + os.fsencode(name)))
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root
