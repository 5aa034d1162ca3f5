"""The cache of expensive results that are valid for every run on the same images."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path
from safetensors import SafetensorError

logger = logging.getLogger(__name__)


def cache_folder(kind: str, chosen: Path | None) -> Path:
    """Return the cache folder of one kind of results, in `chosen` or the user's cache folder."""
    return (chosen or user_cache_path("strip-defect-classifier")) / kind


@contextmanager
def cache_is_optional(folder: Path) -> Iterator[None]:
    """Continue after the block if the cache in `folder` can't be read or written.

    A missing home (containers), a read-only or a full disk disables the cache, not the run. The
    warning appears once per folder.
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
