"""The engine of a loaded model: the fastest on this machine whose answers are those of PyTorch."""

from __future__ import annotations

import importlib.util
import logging
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from ..core.arrays import Floats, Pixels
from ..core.classifier import Engine
from ..core.errors import ModelError, shortened
from . import conversion
from .graph import PixelGraph
from .names import EngineName
from .pytorch import PyTorchEngine

logger = logging.getLogger(__name__)

X86 = ("x86_64", "AMD64")
# Of an output, relative to the largest of its kind: rounding in another order stays far below.
LARGEST_DIFFERENCE = 0.01
COMPARED_SEED = 0


def choose_engine(
    name: EngineName,
    graph: PixelGraph,
    size_px: tuple[int, int],
    sources: Sequence[Path],
    device: torch.device,
) -> Engine:
    """Return an engine for the graph, compared with PyTorch on one image.

    Args:
        name: "auto" takes PyTorch on a GPU, OpenVINO on x86, ONNX Runtime elsewhere, and PyTorch
            where these are not installed or differ.
        graph: the network.
        size_px: rows and columns of its input.
        sources: the files of the model, by which a conversion is cached.
        device: where PyTorch runs the graph.

    Raises:
        ModelError: the engine that was asked for is not installed, or can't run this network.
    """
    reference = PyTorchEngine(graph, device)
    wanted = _fastest(device) if name == "auto" else name
    if wanted == "pytorch":
        return reference
    if importlib.util.find_spec(wanted) is None or importlib.util.find_spec("onnx") is None:
        reason = f"it is not installed: pip install onnx {wanted}"
    else:
        try:
            model = conversion.converted(graph, size_px, sources, conversion.cache_folder())
            engine = BUILDERS[wanted](model, graph.stages, torch.get_num_threads())
            difference = largest_difference(reference, engine, size_px)
        # Converters and engines fail in their own ways for networks that they don't know.
        except Exception as error:
            reason = shortened(error)
        else:
            if difference <= LARGEST_DIFFERENCE:
                return engine
            reason = f"its outputs differ from PyTorch's by {100 * difference:.2g} %"
    if name != "auto":
        raise ModelError(f"The engine {name} can't run this model: {reason}.")
    logger.warning("%s is not used: %s.", wanted, reason)
    return reference


def _fastest(device: torch.device) -> str:
    """Return the engine that is the fastest on a device, whether it is installed or not."""
    if device.type != "cpu":
        return "pytorch"
    return "openvino" if platform.machine() in X86 else "onnxruntime"


def _openvino(model: bytes, stages: Sequence[int], threads: int) -> Engine:
    from .openvino_cpu import OpenVINOEngine

    # By itself OpenVINO takes bfloat16 where the processor has it, which changes the decisions of
    # some networks: of a lite0 after few epochs, those on 13 % of the NEU images.
    return OpenVINOEngine(model, stages, threads, "f32")


def _onnx_runtime(model: bytes, stages: Sequence[int], threads: int) -> Engine:
    from .onnx_runtime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, stages, threads)


BUILDERS: dict[str, Callable[[bytes, Sequence[int], int], Engine]] = {
    "openvino": _openvino,
    "onnxruntime": _onnx_runtime,
}


def largest_difference(reference: Engine, engine: Engine, size_px: tuple[int, int]) -> float:
    """Return the largest difference of any output, relative to the largest value of its kind."""
    pixels = compared_pixels(size_px)
    expected, found = reference.run(pixels), engine.run(pixels)
    pairs = [(expected.logits, found.logits)]
    pairs += zip(expected.statistics, found.statistics, strict=True)
    return max(_relative(*pair) for pair in pairs)


def _relative(expected: Floats, found: Floats) -> float:
    if expected.shape != found.shape or not np.isfinite(found).all():
        return float("inf")
    difference = np.abs(expected - found).max() / np.maximum(np.abs(expected).max(), 1e-6)
    return float(difference)


def compared_pixels(size_px: tuple[int, int]) -> Pixels:
    """Return a picture of noise on a gradient, which moves every stage: [1, row, column, 3]."""
    rows, columns = size_px
    ramp = np.linspace(40, 215, rows)[:, None, None]
    noise = np.random.default_rng(COMPARED_SEED).normal(0, 25, (rows, columns, 3))
    return np.clip(ramp + noise, 0, 255).astype(np.uint8)[None]
