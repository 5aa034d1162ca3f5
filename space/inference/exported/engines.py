"""Engines that run the graph of an exported file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.arrays import Pixels
from ..core.classifier import Observation
from ..core.errors import ModelError, shortened

INPUT, LOGITS = "pixels", "logits"


def output_names(stages: Sequence[int]) -> list[str]:
    """Return the names of the outputs: `logits`, and `statistics_<stage>` for each stage."""
    return [LOGITS, *(f"statistics_{stage}" for stage in stages)]


class OnnxRuntimeEngine:
    """ONNX Runtime on the processor.

    Args:
        content: of an ONNX file without weights in other files.
        stages: whose statistics are outputs.
        origin: of the file, for messages.

    Raises:
        ModelError: onnxruntime is missing, or can't load the model.
    """

    def __init__(self, content: bytes, stages: Sequence[int], origin: str) -> None:
        try:
            import onnxruntime  # noqa: PLC0415 -- one of the two libraries is enough
        except ImportError as error:
            raise ModelError(
                f"{origin} needs the package onnxruntime: pip install onnxruntime"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        # Each kind of damage has an exception of its own.
        except Exception as error:
            raise ModelError(f"{origin} can't be loaded: {shortened(error, 200)}") from error
        self.name = f"ONNX Runtime {onnxruntime.__version__}"
        self._names = output_names(stages)

    def run(self, pixels: Pixels) -> Observation:
        """Run the network on pixels of its input size, [image, row, column, 3]."""
        logits, *statistics = self.session.run(self._names, {INPUT: pixels})
        return Observation(logits, statistics)


class OpenVinoEngine:
    """OpenVINO on the processor.

    Args:
        model: an `openvino.Model`.
        stages: whose statistics are outputs.
        origin: of the file, for messages.
        precision: "f32", or "bf16" for that where the processor has it.

    Raises:
        ModelError: OpenVINO can't compile the model.
    """

    def __init__(
        self, model: Any, stages: Sequence[int], origin: str, precision: str = "f32"
    ) -> None:
        from ..engines.openvino_library import openvino  # noqa: PLC0415 -- as above

        # By itself, OpenVINO takes bf16 where the processor has it.
        config = {} if precision == "bf16" else {"INFERENCE_PRECISION_HINT": precision}
        try:
            self.compiled = openvino.Core().compile_model(model, "CPU", config)
            used = self.compiled.get_property("INFERENCE_PRECISION_HINT")
        except RuntimeError as error:
            raise ModelError(f"{origin} can't be loaded: {shortened(error, 200)}") from error
        self.name = f"OpenVINO {openvino.__version__.partition('-')[0]}, {used.to_string()}"
        self._names = output_names(stages)

    def run(self, pixels: Pixels) -> Observation:
        """Run the network on pixels of its input size, [image, row, column, 3]."""
        outputs = self.compiled({INPUT: pixels})
        logits, *statistics = (outputs[name] for name in self._names)
        return Observation(logits, statistics)
