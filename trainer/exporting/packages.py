"""The packages that write and run each format; none of them is needed otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from trainer.config.option_types import FormatName
from trainer.errors import ConfigError

PACKAGES: dict[FormatName, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxruntime"),
    "openvino": ("onnx", "openvino"),
    "int8": ("onnx", "openvino", "nncf"),
}


def check_packages(names: Sequence[FormatName]) -> None:
    """Check that what writes and runs the formats is installed.

    Raises:
        ConfigError: a package is missing.
    """
    needed = dict.fromkeys(package for name in names for package in PACKAGES[name])
    missing = [package for package in needed if find_spec(package) is None]
    if missing:
        raise ConfigError(
            f"Exporting {', '.join(names)} needs {', '.join(missing)}: "
            "pip install 'strip-defect-classifier[export]'"
        )
