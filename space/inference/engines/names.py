"""The engines that may be asked for, and the names of a graph's input and outputs.

Known before any engine is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

EngineName = Literal["auto", "pytorch", "openvino", "onnxruntime"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
# The lowest that a network may compute in. "mixed" is bf16 with the first layers in float32.
Precision = Literal["f32", "mixed", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
INPUT, LOGITS = "pixels", "logits"


def output_names(stages: Sequence[int]) -> list[str]:
    """Return the names of the outputs: `logits`, and `statistics_<stage>` for each stage."""
    return [LOGITS, *(f"statistics_{stage}" for stage in stages)]
