"""The picture in an image file, and the bounds that it must keep in each format."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .tiff import TiffDirectory

MAX_PIXELS = 50_000_000
# Scaling a very thin image up to the network's input would exhaust the memory.
MAX_ASPECT_RATIO = 100
# JPEG segments, PNG chunks, GIF and WebP blocks: many more than any encoder writes.
MAX_BLOCKS = 300_000
MAX_TIFF_ENTRIES = 4_096

SEVERAL_FRAMES = "The file holds several frames or pages. Save the one to classify as PNG."
UNKNOWN = "The file is not an image in JPEG, PNG, BMP, TIFF, WebP, GIF, AVIF or JPEG 2000 format."
ORIENTATION = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")


class ImageError(ValueError):
    """The image can't be used; the message says why and is shown to the visitor."""


@dataclass(frozen=True)
class Picture:
    """An image file without its metadata.

    Attributes:
        format: Pillow's name of it.
        content: the bytes for the decoder.
        orientation: EXIF number from 1 (upright) to 8, which the decoder does not get; None for
            AVIF, where the decoder finds it.
        bit_depth: significant bits of a sample as the file's tags say; None if they don't.
    """

    format: str
    content: bytes
    orientation: int | None = 1
    bit_depth: int | None = None


def check_size(width: int, height: int) -> None:
    """Raise an ImageError for a picture of no or too many pixels, or for a line."""
    if not width or not height:
        raise ImageError("The image is damaged or incomplete: it has no size.")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"The image has {width} × {height} pixels; the limit is "
            f"{MAX_PIXELS // 1_000_000} megapixels. Crop it or scale it down."
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ImageError(
            f"The image has {width} × {height} pixels, which is a line rather than a surface. "
            f"Crop it until it is at most {MAX_ASPECT_RATIO} times as long as wide."
        )


def refused(what: str) -> ImageError:
    """Return the error for a file that no camera or program writes."""
    return ImageError(f"The file {what}, which no camera does. Save the image again as PNG.")


def exif_orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation from EXIF data, else from XMP; 1 where neither can be read."""
    directory = TiffDirectory.read(exif.removeprefix(b"Exif\0\0"), MAX_TIFF_ENTRIES)
    number = directory.number("orientation") if directory else None
    if number is None and (found := ORIENTATION.search(xmp)):
        number = int(found[1])
    return number if number and 1 <= number <= 8 else 1
