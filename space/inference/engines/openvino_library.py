"""OpenVINO without the package that reports each import of it to its maker.

`import openvino` alone starts openvino-telemetry, which its wheels bring along. Nothing of this
project sends anything anywhere without being asked, so every import of OpenVINO goes through here.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

# An entry None makes the import fail, and OpenVINO and NNCF do without.
if not TYPE_CHECKING:
    sys.modules["openvino_telemetry"] = None

import openvino

__all__ = ["openvino"]
