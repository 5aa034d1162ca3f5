"""The formats of a table of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

Format = Literal["csv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
# Parquet can't grow; the rows are in a file beside it until all are there.
GROWING_SUFFIX = ".rows.jsonl"


def format_of(path: Path | None) -> Format | None:
    """Return the format that a file's suffix names; CSV for stdout, None for another suffix."""
    if path is None:
        return "csv"
    return next((kind for kind in FORMATS if path.suffix.lower() == f".{kind}"), None)


def growing_path(path: Path, kind: Format) -> Path:
    """Return the file that grows while images are predicted."""
    return path.with_name(path.name + GROWING_SUFFIX) if kind == "parquet" else path
