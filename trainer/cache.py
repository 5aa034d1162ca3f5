"""Where results are cached that cost much and hold for every run on the same images."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path
from safetensors import SafetensorError

from trainer.bit_depth import FULL_DEPTH, depth_of

logger = logging.getLogger(__name__)


def cache_folder(kind: str, chosen: Path | None) -> Path:
    """Return where results of one kind are kept: under `chosen`, or the user's cache folder."""
    return (chosen or user_cache_path("strip-defect-classifier")) / kind


@contextmanager
def cache_is_optional(folder: Path) -> Iterator[None]:
    """Continue after the block where the cache in `folder` can't be read or written.

    A home that belongs to nobody (containers), a read-only or full disk cost the cache, not the
    run. It is said once a folder.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number else str(error)
        _report_unusable(folder, reason)


@cache
def _report_unusable(folder: Path, reason: str) -> None:
    logger.warning(
        "The cache %s can't be used (%s). The run continues without it; name another folder with "
        "--cache-dir.",
        folder,
        reason,
    )


def image_digest(row: dict[str, Any]) -> str:
    """Return the fingerprint of what the network sees of a row: file and bit depth."""
    image = row["image"]
    content = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
    depth = depth_of(row)
    return hashlib.sha256(content + (b"" if depth == FULL_DEPTH else b"%d" % depth)).hexdigest()
