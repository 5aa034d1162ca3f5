"""OpenVINO without the package that reports each import of it to its maker.

`import openvino` alone starts openvino-telemetry, which its wheels bring along. Nothing of this
project sends anything anywhere without being asked, so every import of OpenVINO goes through here.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

# An entry None makes the import fail, and OpenVINO and NNCF do without.
if not TYPE_CHECKING:
    sys.modules["openvino_telemetry"] = None

import openvino

__all__ = ["fold_constants", "openvino", "the_core"]


@cache
def the_core() -> Any:
    """Return the one `openvino.Core` of this process, which lives as long as the process.

    The CPU plugin of a core gives the thread that first uses it a stack for signal handlers, and
    frees that stack together with the core. If another thread drops the core, a garbage collection
    there is enough, the next signal that Python handles ends the process with a segmentation fault.
    """
    return openvino.Core()


def fold_constants(model: Any) -> None:
    """Change a network as OpenVINO's own converter does; padding moves into the convolutions.

    Raises:
        RuntimeError: this version of OpenVINO does not offer it.
    """
    try:
        # There is no public name for it.
        from openvino._offline_transformations import apply_moc_transformations  # noqa: PLC0415
    except ImportError as error:
        raise RuntimeError(f"OpenVINO {openvino.__version__} can't fold constants") from error
    apply_moc_transformations(model, cf=True)
