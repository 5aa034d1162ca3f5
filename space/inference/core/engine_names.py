"""The engines that may be asked for, known before any of them is imported."""

from __future__ import annotations

from typing import Literal, get_args

EngineName = Literal["auto", "pytorch", "openvino", "onnxruntime"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
