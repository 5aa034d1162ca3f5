"""Where the image of a row lies, in datasets that come from folders and from the Hub alike."""

from __future__ import annotations

import io
from typing import IO, Any


def image_source(row: dict[str, Any]) -> str | IO[bytes]:
    """Return the path of the undecoded image of a row, or its bytes as a file."""
    image = row["image"]
    path: str = image["path"]
    return path if image["bytes"] is None else io.BytesIO(image["bytes"])
