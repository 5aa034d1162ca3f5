"""Checksums of files and JSON, which reveal damage before anybody uses them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OWN_CHECKSUM = "sha256"
# No string of JSON holds a line break.
_NUMBERS = re.compile(r"\[\n([\d\s.,eE+-]+)\]")


def published_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of the files in a published folder, sorted, without hidden files.

    Symbolic links are not followed: their targets are not part of the folder.
    """
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from ((f"{path.name}/{name}", inner) for name, inner in published_files(path))
        else:
            yield path.name, path


def file_checksum(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def seal(text: str) -> str:
    """Return a JSON object with its own checksum as last entry; lists of numbers take one line."""
    facts = json.loads(text)
    sealed = json.dumps(facts | {OWN_CHECKSUM: facts_checksum(facts)}, indent=2, ensure_ascii=False)
    # Otherwise a confusion matrix of 1,000 classes would have a million lines.
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", sealed)


def unseal(text: str) -> Any:
    """Return the object that `seal` wrote, or an unsealed one, without its checksum.

    Raises:
        ValueError: the text is not JSON, or was changed after it was sealed.
    """
    facts = json.loads(text)
    own = facts.pop(OWN_CHECKSUM, None) if isinstance(facts, dict) else None
    if own is not None and own != facts_checksum(facts):
        raise ValueError("it was changed after it was written: its checksum differs")
    return facts


def facts_checksum(facts: Any) -> str:
    """Return the SHA-256 of what can be written as JSON; the order of its keys does not matter."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
