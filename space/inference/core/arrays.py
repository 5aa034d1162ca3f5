"""The kinds of arrays that this room passes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Of images or tiles: [image, row, column, 3], RGB.
Pixels = npt.NDArray[np.uint8]
# float32 or float64.
Floats = npt.NDArray[np.floating[Any]]
