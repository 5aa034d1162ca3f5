"""The engine of a loaded model: the fastest on this machine whose answers are those of PyTorch."""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
from collections.abc import Callable, Sequence

import numpy as np

from ..core.arrays import Floats
from ..core.classifier import Engine, Observation
from ..core.errors import ModelError, shortened
from . import conversion
from .conversion import Conversion, Converted
from .names import EngineName, Precision

logger = logging.getLogger(__name__)

X86 = ("x86_64", "AMD64")
# Of an output, relative to the largest of its kind. In float32, rounding in another order stays
# far below; bfloat16 has 8 bits, and its effect on the decisions was measured when it was allowed.
LARGEST_DIFFERENCE: dict[Precision, float] = {"f32": 0.01, "mixed": 0.1, "bf16": 0.1}


def choose_engine(
    name: EngineName,
    model: Converted,
    pytorch: Callable[[], Engine],
    convert: Callable[[], Conversion],
    *,
    gpu: bool,
    precision: Precision,
    at_once: int = 1,
) -> Engine:
    """Return an engine for a model, compared with PyTorch on one image.

    PyTorch is only started where it is needed: not for a model that was converted before.

    Args:
        name: "auto" takes PyTorch on a GPU, OpenVINO on x86, ONNX Runtime elsewhere, and PyTorch
            where these are not installed or differ.
        model: its files, stages and size.
        pytorch: returns PyTorch as the engine.
        convert: converts the model.
        gpu: whether PyTorch runs on a GPU.
        precision: the lowest that decides as float32 does, as the model's report proves.
        at_once: inferences at the same time.

    Raises:
        ModelError: the engine that was asked for is not installed, or can't run this network; or
            the model can't be used at all.
    """
    wanted = _fastest(gpu) if name == "auto" else name
    if wanted == "pytorch":
        return pytorch()
    if importlib.util.find_spec(wanted) is None or importlib.util.find_spec("onnx") is None:
        reason = f"it is not installed: pip install onnx {wanted}"
    else:
        try:
            return _checked(wanted, model, convert, precision, at_once)
        except ModelError:
            raise
        except _DiffersError as error:
            reason = str(error)
        # Converters and engines fail in their own ways for networks that they don't know.
        except Exception as error:
            reason = shortened(error)
    if name != "auto":
        raise ModelError(f"The engine {name} can't run this model: {reason}.")
    logger.warning("%s is not used: %s.", wanted, reason)
    return pytorch()


class _DiffersError(Exception):
    """An engine computes other outputs than PyTorch; the message says by how much."""


def _checked(
    wanted: str,
    model: Converted,
    convert: Callable[[], Conversion],
    precision: Precision,
    at_once: int,
) -> Engine:
    """Return an engine whose outputs are PyTorch's, in the lowest precision that is allowed.

    Raises:
        _DiffersError: they are not, even in float32.
    """
    found = conversion.converted(model, convert, conversion.cache_folder())
    difference = float("inf")
    precisions: list[Precision] = [precision, "f32"]
    for each in dict.fromkeys(precisions):
        try:
            engine = BUILDERS[wanted](found.graph, model.stages, thread_limit(), each, at_once)
        except RuntimeError as error:
            if each == "f32":
                raise
            logger.warning("%s runs in float32: in %s, %s", wanted, each, shortened(error))
            continue
        difference = largest_difference(found.expected, engine, model.size_px)
        if difference <= LARGEST_DIFFERENCE[each]:
            return engine
    raise _DiffersError(f"its outputs differ from PyTorch's by {100 * difference:.2g} %")


def _fastest(gpu: bool) -> str:
    """Return the engine that is the fastest on this machine, whether it is installed or not."""
    if gpu:
        return "pytorch"
    return "openvino" if platform.machine() in X86 else "onnxruntime"


def thread_limit() -> int | None:
    """Return the number of threads that the user allows; None leaves it to the engine."""
    # OpenMP takes a list, one number for each level of nested regions.
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def _openvino(
    graph: bytes, stages: Sequence[int], threads: int | None, precision: Precision, at_once: int
) -> Engine:
    from .openvino_cpu import OpenVINOEngine

    return OpenVINOEngine(graph, stages, threads, precision, at_once)


def _onnx_runtime(
    graph: bytes, stages: Sequence[int], threads: int | None, _: Precision, _at_once: int
) -> Engine:
    from .onnx_runtime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(graph, stages, threads)


BUILDERS: dict[str, Callable[[bytes, Sequence[int], int | None, Precision, int], Engine]] = {
    "openvino": _openvino,
    "onnxruntime": _onnx_runtime,
}


def largest_difference(expected: Observation, engine: Engine, size_px: tuple[int, int]) -> float:
    """Return the largest difference of any output, relative to the largest value of its kind.

    Args:
        expected: for `compared_pixels`.
        engine: to compare.
        size_px: rows and columns of its input.
    """
    found = engine.run(conversion.compared_pixels(size_px))
    pairs = [(expected.logits, found.logits)]
    pairs += zip(expected.statistics, found.statistics, strict=True)
    return max(_relative(*pair) for pair in pairs)


def _relative(expected: Floats, found: Floats) -> float:
    if expected.shape != found.shape or not np.isfinite(found).all():
        return float("inf")
    difference = np.abs(expected - found).max() / np.maximum(np.abs(expected).max(), 1e-6)
    return float(difference)
