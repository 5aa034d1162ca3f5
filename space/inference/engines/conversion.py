"""The graph of a loaded model in ONNX, converted once and then read from a cache.

A conversion holds what PyTorch computed, too: an engine that runs it can be checked without the
seconds that importing PyTorch and building the network take.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..core.arrays import Floats, Pixels
from ..core.classifier import Observation
from ..core.fingerprint import fingerprint
from .names import output_names

logger = logging.getLogger(__name__)

# Changes with the graph: files of an earlier version are not read.
VERSION = 2
# In the cache, at most. The file of the largest ConvNeXt has 800 MB.
MOST_FILES = 4
SUFFIX = ".safetensors"
GRAPH = "onnx"
COMPARED_SEED = 0


@dataclass(frozen=True)
class Conversion:
    """A graph in ONNX.

    Attributes:
        graph: the content of the file.
        expected: what PyTorch computes for `compared_pixels`.
    """

    graph: bytes
    expected: Observation


@dataclass(frozen=True)
class Converted:
    """Names a graph, without building it.

    Attributes:
        sources: the files of the model that determine the graph.
        stages: whose statistics are outputs.
        size_px: rows and columns of the input.
    """

    sources: Sequence[Path]
    stages: Sequence[int]
    size_px: tuple[int, int]

    def key(self) -> str:
        """Return a name for the cache."""
        facts = (VERSION, version("torch"), version("timm"), [*self.stages], self.size_px)
        return hashlib.sha256(f"{fingerprint(self.sources)} {facts}".encode()).hexdigest()[:32]


def cache_folder() -> Path:
    """Return the folder of converted models."""
    return user_cache_path("strip-defect-classifier") / "converted"


def converted(model: Converted, convert: Callable[[], Conversion], folder: Path) -> Conversion:
    """Return a conversion, from the cache if there is one.

    A cache that can't be read or written costs a conversion, and a warning.

    Args:
        model: to convert.
        convert: converts it, which needs PyTorch.
        folder: of the cache.
    """
    file = folder / f"{model.key()}{SUFFIX}"
    try:
        found = _read(file.read_bytes(), model.stages)
        file.touch()
        return found
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("A converted model in %s can't be read: %s", folder, error.strerror)
    except (SafetensorError, KeyError) as error:
        logger.warning("The converted model %s is damaged, and replaced: %s", file, error)
    made = convert()
    try:
        _store(_content(made, model.stages), file)
    except OSError as error:
        logger.warning("The converted model can't be kept in %s: %s", folder, error.strerror)
    return made


def compared_pixels(size_px: tuple[int, int]) -> Pixels:
    """Return a picture of noise on a gradient, which moves every stage: [1, row, column, 3]."""
    rows, columns = size_px
    ramp = np.linspace(40, 215, rows)[:, None, None]
    noise = np.random.default_rng(COMPARED_SEED).normal(0, 25, (rows, columns, 3))
    return np.clip(ramp + noise, 0, 255).astype(np.uint8)[None]


def _content(made: Conversion, stages: Sequence[int]) -> bytes:
    outputs: list[Floats] = [made.expected.logits, *made.expected.statistics]
    arrays: dict[str, Any] = {GRAPH: np.frombuffer(made.graph, np.uint8)}
    named = zip(output_names(stages), outputs, strict=True)
    return save(arrays | {name: np.ascontiguousarray(each) for name, each in named})


def _read(content: bytes, stages: Sequence[int]) -> Conversion:
    arrays = load(content)
    logits, *statistics = (arrays[name] for name in output_names(stages))
    return Conversion(arrays[GRAPH].tobytes(), Observation(logits, statistics))


def _store(content: bytes, file: Path) -> None:
    """Write a file whole or not at all, and remove those that were not used for longest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    whole = (each for each in file.parent.iterdir() if each.suffix != ".partial")
    files = sorted(whole, key=lambda each: each.stat().st_mtime)
    for old in files[:-MOST_FILES]:
        old.unlink(missing_ok=True)
