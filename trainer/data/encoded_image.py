"""The encoded image of a row, in datasets from folders and from the Hub."""

from __future__ import annotations

import io
from typing import IO, Any

from space.inference.images.reader import ImageError


def image_source(row: dict[str, Any]) -> str | IO[bytes]:
    """Return the path of the encoded image of a row, or its bytes as a file.

    Raises:
        ImageError: the row holds neither.
    """
    image = row["image"] or {"path": None, "bytes": None}
    if image["bytes"] is not None:
        return io.BytesIO(image["bytes"])
    if image["path"] is None:
        raise ImageError("the row holds no image")
    path: str = image["path"]
    return path
