"""OpenVINO as the engine: for x86 processors."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..core.arrays import Pixels
from ..core.classifier import Observation
from .names import Precision, output_names
from .openvino_library import fold_constants, openvino, the_core

TITLES: dict[Precision, str] = {
    "f32": "float32",
    "mixed": "bfloat16, first layers float32",
    "bf16": "bfloat16",
}
# What "mixed" leaves in float32: the first quarter of the layers with weights. They see the raw
# image, and all later layers and the novelty stages inherit their rounding.
LAYERS = ("Convolution", "GroupConvolution", "MatMul")
FLOAT_SHARE = 0.25
# Images in one inference, the largest number first. A network that is compiled for a fixed number
# is up to a third faster than for any, and needs its weights once more.
BATCHES = (16, 1)


class OpenVINOEngine:
    """Runs a converted graph on the processor.

    The graph is compiled for each number of `BATCHES` when it is needed.

    Args:
        model: an `openvino.Model`, or the bytes of ONNX.
        stages: whose statistics are outputs.
        threads: the most to use; None leaves the choice to OpenVINO.
        precision: "bf16" and "mixed" allow bfloat16 where the processor has it.

    Raises:
        RuntimeError: OpenVINO can't read or compile the model.
    """

    def __init__(
        self,
        model: Any,
        stages: Sequence[int],
        threads: int | None = None,
        precision: Precision = "f32",
    ) -> None:
        used = precision if has_bf16() else "f32"
        self._settings: dict[str, str | int] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32" if used == "f32" else "bf16",
        }
        self._mixed = used == "mixed"
        if threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = threads
        self._model = the_core().read_model(model) if isinstance(model, bytes) else model
        self._names = output_names(stages)
        self._requests: dict[int, _Request] = {}
        # A request serves one call at a time; more of them would share the same cores.
        self._lock = threading.Lock()
        version = openvino.__version__.partition("-")[0]
        self.name = f"OpenVINO {version}, {TITLES[used]}"
        # Not every network can be compiled in mixed precision; this shows at once.
        for images in BATCHES if self._mixed else (1,):
            self._request(images)

    def run(self, pixels: Pixels) -> Observation:
        """Run the network on pixels of its input size, [image, row, column, 3]."""
        with self._lock:
            seen, at = [], 0
            while at < len(pixels):
                count = next(size for size in BATCHES if size <= len(pixels) - at)
                seen.append(self._request(count).infer(pixels[at : at + count]))
                at += count
        logits, *statistics = (np.concatenate(each) for each in zip(*seen, strict=True))
        return Observation(logits, statistics)

    def _request(self, images: int) -> _Request:
        if images not in self._requests:
            self._requests[images] = self._compiled(images)
        return self._requests[images]

    def _compiled(self, images: int) -> _Request:
        fixed = self._model.clone()
        fixed.reshape([images, *list(fixed.input(0).partial_shape)[1:]])
        if self._mixed:
            fixed = _with_first_layers_in_float(fixed)
        return _Request(the_core().compile_model(fixed, "CPU", self._settings), self._names)


class _Request:
    """A network that is compiled for a fixed number of images."""

    def __init__(self, compiled: Any, names: Sequence[str]) -> None:
        self._request = compiled.create_infer_request()
        self._outputs = [compiled.output(name) for name in names]

    def infer(self, pixels: Pixels) -> list[Any]:
        """Return the outputs for exactly this number of images."""
        self._request.infer([pixels], share_inputs=True)
        # Copies: the next call writes into the same memory.
        return [self._request.get_tensor(output).data.copy() for output in self._outputs]


def _with_first_layers_in_float(model: Any) -> Any:
    """Return a network whose first layers stay in float32 when it is compiled for bf16.

    OpenVINO has a mark for such layers, which can be set only in the text of a saved network.

    Args:
        model: with a fixed number of images; it is changed.
    """
    # Moves padding into the convolutions, as compiling would: that makes a layer without the mark.
    fold_constants(model)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.xml"
        openvino.save_model(model, file, compress_to_fp16=False)
        # Written by the line above.
        root = ElementTree.parse(file).getroot()  # noqa: S314
        layers = [each for each in root.iter("layer") if each.get("type") in LAYERS]
        for layer in layers[: max(1, round(FLOAT_SHARE * len(layers)))]:
            marks = ElementTree.Element("rt_info")
            ElementTree.SubElement(marks, "attribute", name="precise", version="0")
            for old in layer.findall("rt_info"):
                marks.extend(old)
                layer.remove(old)
            # Behind the element with the settings of the layer.
            layer.insert(1, marks)
        weights = file.with_suffix(".bin").read_bytes()
        return the_core().read_model(ElementTree.tostring(root), weights)


def has_bf16() -> bool:
    """Return whether OpenVINO computes in bfloat16 on this machine."""
    return "BF16" in the_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
