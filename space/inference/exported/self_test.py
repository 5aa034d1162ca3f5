"""A test that an exported file carries: images, and what the network must compute for them.

A processor or a library that computes wrongly is found on the machine of the user, before the first
answer. Such cases are known: without VNNI, some processors let the sums of int8 products overflow.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from PIL import Image

from ..core.arrays import Floats
from ..core.classifier import Classifier, Observation
from ..core.errors import ModelError

# Relative difference of all outputs together. bf16 and other libraries stay below 0.02; sums that
# overflow are off by more than their own size.
TOLERANCE = 0.05
LARGEST_TOLERANCE = 0.2
MOST_IMAGES, MOST_NUMBERS = 8, 2**20
MAX_PNG_BYTES, MAX_SIDE_PX = 2**20, 1024
SIZES_PX = ((200, 200), (160, 224), (320, 200))


class SelfTestError(ModelError):
    """A file computes other outputs than expected.

    Attributes:
        reason: half a sentence with the difference.
    """

    def __init__(self, origin: str, engine: str, reason: str) -> None:
        super().__init__(
            f"{origin} computes wrong outputs on this machine ({engine}): {reason}. Do not use it "
            "here. Use a file without int8, update the library, or export the model again."
        )
        self.reason = reason


@dataclass(frozen=True)
class SelfTest:
    """Images with the expected outputs.

    Attributes:
        images: RGB, of any size.
        expected: outputs for them.
        tolerance: largest relative difference; see `difference`.
    """

    images: list[Image.Image]
    expected: Observation
    tolerance: float = TOLERANCE

    def check(self, classifier: Classifier) -> None:
        """Compare what this machine computes with what was expected.

        Raises:
            SelfTestError: they differ by more than the tolerance.
        """
        found = classifier.observe(self.images)
        off = difference(self.expected, found)
        if not off <= self.tolerance:
            raise SelfTestError(
                classifier.facts.origin,
                classifier.engine.name,
                f"its self-test differs by {off:.2g}, at most {self.tolerance:.2g} is allowed",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the test as JSON."""
        return {
            "images": [_png(image) for image in self.images],
            "logits": self.expected.logits.tolist(),
            "statistics": [each.tolist() for each in self.expected.statistics],
            "tolerance": self.tolerance,
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return what `to_json` described.

        Raises:
            ValueError: a value is out of bounds.
        """
        pictures, tolerance = value["images"], value["tolerance"]
        if not isinstance(pictures, list) or not 1 <= len(pictures) <= MOST_IMAGES:
            raise ValueError(f"it must hold 1 to {MOST_IMAGES} images")
        if not isinstance(tolerance, float) or not 0 < tolerance <= LARGEST_TOLERANCE:
            raise ValueError(f"its tolerance must lie between 0 and {LARGEST_TOLERANCE}")
        images = [_image(text) for text in pictures]
        outputs = [_matrix(each, len(images)) for each in (value["logits"], *value["statistics"])]
        return cls(images, Observation(outputs[0], outputs[1:]), tolerance)


def difference(expected: Observation, found: Observation) -> float:
    """Return the largest relative difference of an output; infinite if a shape differs.

    Of each output, it is the root of the mean square of the differences, relative to that of the
    expected values.
    """
    pairs = list(
        zip(
            (expected.logits, *expected.statistics),
            (found.logits, *found.statistics),
            strict=True,
        )
    )
    if any(ours.shape != theirs.shape for ours, theirs in pairs):
        return float("inf")
    return max(_relative(ours, theirs) for ours, theirs in pairs)


def _relative(expected: Floats, found: Floats) -> float:
    size = np.sqrt(np.square(expected.astype(np.float64)).mean())
    off = np.sqrt(np.square(found.astype(np.float64) - expected).mean())
    return float(off / max(size, 1e-6))


def drawn_images() -> list[Image.Image]:
    """Return the images of the test: noise, scratches on a gradient, and a coarse pattern."""
    rng = np.random.default_rng(20261127)
    images = []
    for number, (width, height) in enumerate(SIZES_PX):
        rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        levels = [
            0.5 + 0.15 * rng.standard_normal((height, width)),
            0.3 + 0.4 * columns + 0.3 * (np.abs(np.sin(9 * rows + 4 * columns)) < 0.05),
            0.5 + 0.3 * np.sin(40 * rows) * np.sin(25 * columns),
        ][number]
        gray = np.clip(255 * levels, 0, 255).astype(np.uint8)
        images.append(Image.fromarray(gray).convert("RGB"))
    return images


def _png(image: Image.Image) -> str:
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def _image(text: Any) -> Image.Image:
    content = base64.b64decode(text, validate=True)
    if len(content) > MAX_PNG_BYTES:
        raise ValueError("an image is too large")
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as opened:
            if max(opened.size) > MAX_SIDE_PX:
                raise ValueError("an image is too large")
            return opened.convert("RGB")
    # Pillow raises these for damaged and hostile files.
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("an image is damaged") from error


def _matrix(value: Any, rows: int) -> Floats:
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise ValueError("an output is no matrix")
    sizes: Sequence[int] = [len(row) for row in value]
    if len(sizes) != rows or len(set(sizes)) != 1 or not 1 <= sizes[0] * rows <= MOST_NUMBERS:
        raise ValueError("an output has another number of rows or columns")
    matrix = np.array(value, np.float64)
    if matrix.ndim != 2 or not (np.abs(matrix) <= np.finfo(np.float32).max).all():
        raise ValueError("an output holds values that are not finite numbers")
    return matrix.astype(np.float32)
