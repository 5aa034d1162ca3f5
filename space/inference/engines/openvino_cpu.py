"""OpenVINO as the engine: for x86 processors."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from ..core.arrays import Pixels
from ..core.classifier import Observation
from .names import output_names
from .openvino_library import openvino

PRECISIONS = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


class OpenVINOEngine:
    """Runs a converted graph on the processor.

    Args:
        model: an `openvino.Model`, or the bytes of ONNX.
        stages: whose statistics are outputs.
        threads: the most to use; None leaves the choice to OpenVINO.
        precision: "f32" or "bf16"; None uses what the processor does fastest.

    Raises:
        RuntimeError: OpenVINO can't read or compile the model.
    """

    def __init__(
        self,
        model: Any,
        stages: Sequence[int],
        threads: int | None = None,
        precision: str | None = None,
    ) -> None:
        settings: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        if precision is not None:
            settings["INFERENCE_PRECISION_HINT"] = precision
        core = openvino.Core()
        read = core.read_model(model) if isinstance(model, bytes) else model
        compiled = core.compile_model(read, "CPU", settings)
        self._request = compiled.create_infer_request()
        self._outputs = [compiled.output(name) for name in output_names(stages)]
        # A request serves one call at a time; more of them would share the same cores.
        self._lock = threading.Lock()
        used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        version = openvino.__version__.partition("-")[0]
        self.name = f"OpenVINO {version}, {PRECISIONS.get(used, used)}"

    def run(self, pixels: Pixels) -> Observation:
        """Run the network on pixels of its input size, [image, row, column, 3]."""
        with self._lock:
            self._request.infer([pixels], share_inputs=True)
            # Copies: the next call writes into the same memory.
            logits, *statistics = (
                self._request.get_tensor(output).data.copy() for output in self._outputs
            )
        return Observation(logits, statistics)
