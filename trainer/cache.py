"""Where results are kept that cost much and hold for every run on the same images."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path


def cache_folder(kind: str, chosen: Path | None) -> Path:
    """Return where results of one kind are kept: under `chosen`, or the user's cache folder."""
    return (chosen or user_cache_path("strip-defect-classifier")) / kind


def image_digest(row: dict[str, Any]) -> str:
    """Return the fingerprint of the file of an image, as it was found; see `imagefolder`."""
    image = row["image"]
    content = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
    return hashlib.sha256(content).hexdigest()
