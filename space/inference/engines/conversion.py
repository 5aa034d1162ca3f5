"""The graph of a loaded model in ONNX, converted once and then read from a cache."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import timm
import torch
from platformdirs import user_cache_path

from ..core.fingerprint import fingerprint
from .graph import PixelGraph, to_onnx

logger = logging.getLogger(__name__)

# Changes with the graph: files of an earlier version are not read.
VERSION = 1
# In the cache, at most. The file of the largest ConvNeXt has 800 MB.
MOST_FILES = 4
SUFFIX = ".onnx"


def cache_folder() -> Path:
    """Return the folder of converted models."""
    return user_cache_path("strip-defect-classifier") / "converted"


def converted(
    graph: PixelGraph, size_px: tuple[int, int], sources: Sequence[Path], folder: Path
) -> bytes:
    """Return the graph in ONNX, from the cache if it was converted before.

    A cache that can't be read or written costs a conversion, and a warning.

    Args:
        graph: to convert, on the CPU.
        size_px: rows and columns of its input.
        sources: the files that determine the graph.
        folder: of the cache.
    """
    file = folder / f"{_key(graph, size_px, sources)}{SUFFIX}"
    try:
        found = file.read_bytes()
        file.touch()
        return found
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("A converted model in %s can't be read: %s", folder, error.strerror)
    content = to_onnx(graph, *size_px)
    try:
        _store(content, file)
    except OSError as error:
        logger.warning("The converted model can't be kept in %s: %s", folder, error.strerror)
    return content


def _key(graph: PixelGraph, size_px: tuple[int, int], sources: Sequence[Path]) -> str:
    facts = (VERSION, torch.__version__, timm.__version__, graph.stages, size_px)
    return hashlib.sha256(f"{fingerprint(sources)} {facts}".encode()).hexdigest()[:32]


def _store(content: bytes, file: Path) -> None:
    """Write a file whole or not at all, and remove those that were not used for longest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    files = sorted(file.parent.glob(f"*{SUFFIX}"), key=lambda each: each.stat().st_mtime)
    for old in files[:-MOST_FILES]:
        old.unlink(missing_ok=True)
