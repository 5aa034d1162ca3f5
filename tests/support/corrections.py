"""Corrections for tests."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image

from space.feedback.record import Answer, Correction, Model
from space.feedback.store import Store

START = datetime(2026, 11, 27, 8, tzinfo=UTC)
LIMIT_BYTES = 2**26


def png(image: Image.Image) -> bytes:
    """Return an image as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def correction(image: bytes, label: str | None, minute: int = 0, **changes: Any) -> Correction:
    """Return a correction of a stored image, which names a class unless `kind` is given."""
    facts: dict[str, Any] = {
        "thread": hashlib.blake2b(image, digest_size=16).hexdigest(),
        "time": START + timedelta(minutes=minute),
        "image": hashlib.sha256(image).hexdigest(),
        "answer": Answer(
            label="Crazing", confidence=0.5, verdict="unsure", candidates=["Crazing"], novelty=0.25
        ),
        "model": Model(id="ada/steel", revision="0" * 40, fingerprint="0" * 12),
        "kind": "class",
        "label": label,
    }
    return Correction(**facts | changes)


def add(
    folder: Path, image: Image.Image, label: str | None, minute: int = 0, **changes: Any
) -> str:
    """Store a correction of a picture; return the name of the stored image."""
    content = png(image)
    stored = correction(content, label, minute, **changes)
    Store(folder, LIMIT_BYTES).add(stored, content)
    return stored.image
