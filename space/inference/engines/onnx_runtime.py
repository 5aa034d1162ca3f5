"""ONNX Runtime as the engine: for processors without OpenVINO."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from ..core.arrays import Pixels
from ..core.classifier import Observation

# Its build for Windows reports events to the system unless asked not to.
onnxruntime.disable_telemetry_events()
ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """Runs a converted graph on the processor, in the precision of the file.

    Args:
        model: a file in ONNX, or its bytes.
        threads: the most to use; None leaves the choice to ONNX Runtime.

    Raises:
        Exception: ONNX Runtime can't read the model; its errors have no base class of their own.
    """

    def __init__(self, model: Path | bytes, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        if threads is not None:
            options.intra_op_num_threads = threads
        source = str(model) if isinstance(model, Path) else model
        self._session = onnxruntime.InferenceSession(
            source, options, providers=["CPUExecutionProvider"]
        )
        [self._input] = (each.name for each in self._session.get_inputs())
        self.name = f"ONNX Runtime {onnxruntime.__version__}"

    def run(self, pixels: Pixels) -> Observation:
        """Run the network on pixels of its input size, [image, row, column, 3]."""
        logits, *statistics = self._session.run(None, {self._input: pixels})
        return Observation(logits, statistics)
