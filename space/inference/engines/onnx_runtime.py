"""ONNX Runtime as the engine: for processors without OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence

import onnxruntime

from ..core.arrays import Pixels
from ..core.classifier import Observation
from .names import INPUT, output_names

# Its build for Windows reports events to the system unless asked not to.
onnxruntime.disable_telemetry_events()
ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """Runs a converted graph on the processor, in the precision of the file.

    Args:
        model: the bytes of ONNX, without weights in other files.
        stages: whose statistics are outputs.
        threads: the most to use; None leaves the choice to ONNX Runtime.

    Raises:
        Exception: ONNX Runtime can't read the model; its errors have no base class of their own.
    """

    # The threads of one batch use all cores.
    batches_at_once = 1

    def __init__(self, model: bytes, stages: Sequence[int], threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        if threads is not None:
            options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self._names = output_names(stages)
        self.name = f"ONNX Runtime {onnxruntime.__version__}"

    def run(self, pixels: Pixels) -> Observation:
        """Run the network on pixels of its input size, [image, row, column, 3]."""
        logits, *statistics = self._session.run(self._names, {INPUT: pixels})
        return Observation(logits, statistics)
