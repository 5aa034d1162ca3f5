"""Formats that consist of boxes: AVIF, JPEG 2000, and HEIC, which is refused."""

from __future__ import annotations

import struct

from .picture import (
    MAX_BLOCKS,
    SEVERAL_FRAMES,
    UNKNOWN,
    ImageError,
    Picture,
    check_size,
    refused,
)

# OpenJPEG allocates all tiles, each with all components, before it decodes one.
MAX_JPEG2000_TILES = 4_096
# It also allocates all blocks and precincts of a tile; their sizes are powers of 2.
MIN_BLOCK_BITS, MIN_PRECINCT_BITS = 8, 5
HEIC_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"heif")
)


def heif(content: bytes) -> Picture:
    """Accept AVIF, which Pillow can read, and refuse HEIC; hide EXIF data from Pillow."""
    (length,) = struct.unpack_from(">I", content)
    brands = {content[at : at + 4] for at in (8, *range(16, min(length, 256), 4))}
    if content[8:12] not in (b"avif", b"avis") and (brands & HEIC_BRANDS or b"avif" not in brands):
        if brands & (HEIC_BRANDS | {b"mif1", b"msf1"}):
            raise ImageError("HEIC: save as JPEG or PNG.")
        raise ImageError(UNKNOWN)
    if content[8:12] == b"avis":
        raise ImageError(SEVERAL_FRAMES)
    start = content.find(b"meta", length) - 4
    if start < 0:
        raise ImageError("The image is damaged or incomplete: it has no picture.")
    (meta_bytes,) = struct.unpack_from(">I", content, start)
    # libavif skips items of an unknown type.
    meta = content[start : start + meta_bytes].replace(b"Exif", b"skip")
    return Picture("AVIF", content[:start] + meta + content[start + meta_bytes :], None)


def jpeg2000(content: bytes) -> Picture:
    """Check the sizes of tiles, blocks and precincts, by which the decoder allocates memory."""
    start = content.find(b"\xff\x4f\xff\x51")
    if start < 0:
        raise ImageError("The image is damaged or incomplete: it has no picture.")
    right, bottom, left, top, tile_w, tile_h, tile_left, tile_top, components = struct.unpack_from(
        ">8IH", content, start + 8
    )
    check_size(max(right - left, 1), max(bottom - top, 1))
    columns = -(-(right - tile_left) // max(tile_w, 1))
    rows = -(-(bottom - tile_top) // max(tile_h, 1))
    if components > 4 or columns * rows > MAX_JPEG2000_TILES:
        raise refused("has too many color components or tiles")
    at = _check_blocks(content, start + 2, in_tile=False)
    for _ in range(MAX_BLOCKS):
        (length,) = struct.unpack_from(">I", content, at + 6)
        _check_blocks(content, at + 12, in_tile=True)
        at += max(length, 12)
        if not length or content[at : at + 2] != b"\xff\x90":
            return Picture("JPEG2000", content)
    raise refused("has too many tiles")


def _check_blocks(content: bytes, at: int, *, in_tile: bool) -> int:
    """Check the block sizes in a JPEG 2000 header; return the end of the header."""
    for _ in range(MAX_BLOCKS):
        marker, length = struct.unpack_from(">HH", content, at)
        if marker in (0xFF90, 0xFF93):
            return at
        if marker in (0xFF52, 0xFF53):
            # After length and style: 4 bytes for all components, or the number of one.
            style = at + 4 if marker == 0xFF52 else at + 5
            levels = style + 5 if marker == 0xFF52 else style + 1
            block_bits = 4 + (content[levels + 1] & 15) + (content[levels + 2] & 15)
            precincts = content[levels + 5 : at + 2 + length] if content[style] & 1 else b""
            # Each level has half the side lengths of the next one.
            smallest = min(
                (
                    min(size & 15, size >> 4) + below
                    for below, size in enumerate(reversed(precincts))
                ),
                default=15,
            )
            if in_tile or block_bits < MIN_BLOCK_BITS or smallest < MIN_PRECINCT_BITS:
                raise refused("is cut into blocks that are too small or differ")
        at += 2 + max(length, 2)
    raise refused("has too many segments")
