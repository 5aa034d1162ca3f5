"""Extract the picture from an image file; metadata never reaches a decoder.

Decoders read tags, comments and profiles into memory before the size of the picture is known, and
a file of a megabyte can declare gigabytes of them. Here each container is parsed with bounds, its
orientation and bit depth are read, and the decoder gets a copy without the rest.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from .tiff import TiffDirectory

MAX_PIXELS = 50_000_000
# Scaling a very thin image up to the network's input would exhaust the memory.
MAX_ASPECT_RATIO = 100
# Encoders write 1 to 20. Each scan costs a pass over the whole picture, however short it is.
MAX_JPEG_SCANS = 64
# JPEG segments, PNG chunks, GIF and WebP blocks: many more than any encoder writes.
MAX_BLOCKS = 300_000
# Pillow decodes run-length coded BMPs in Python.
MAX_RLE_PIXELS = 4_000_000
MAX_TIFF_ENTRIES = 4_096
# OpenJPEG allocates all tiles, each with all components, before it decodes one.
MAX_JPEG2000_TILES = 4_096
# It also allocates all blocks and precincts of a tile; their sizes are powers of 2.
MIN_BLOCK_BITS, MIN_PRECINCT_BITS = 8, 5
# Inflated text of a PNG that may hold EXIF data.
MAX_TEXT_BYTES = 2**17

SEVERAL_FRAMES = "The file holds several frames or pages. Save the one to classify as PNG."
UNKNOWN = "The file is not an image in JPEG, PNG, BMP, TIFF, WebP, GIF, AVIF or JPEG 2000 format."
# First bytes of the formats whose samples may have more than 8 bits.
DEEP_KINDS = (
    *(b"\x89PNG", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *(b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51"),
)
HEIC_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"heif")
)
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


def picture_of(content: bytes) -> Picture:
    """Return the data that a decoder needs from a file.

    Raises:
        ImageError: the format is not supported, or no camera or program writes such a file.
    """
    if not content:
        raise ImageError("The file is empty.")
    # HEIF files begin with the length of their first box.
    kind = _heif if content[4:8] == b"ftyp" else None
    kind = next((read for start, read in READERS.items() if content.startswith(start)), kind)
    if kind is not None:
        try:
            return kind(content)
        except (struct.error, IndexError) as error:
            raise ImageError("The image is damaged or incomplete: it ends early.") from error
    raise ImageError(UNKNOWN)


def may_be_deep(content: bytes) -> bool:
    """Return whether the samples of a PNG, TIFF or JPEG 2000 may have more than 8 bits."""
    if content.startswith(b"\x89PNG"):
        return content[24:25] == b"\x10"
    if content.startswith((b"II", b"MM")):
        directory = TiffDirectory.read(content, MAX_TIFF_ENTRIES)
        return directory is not None and (directory.number("bits") or 1) > 8
    return True


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


def _refuse(what: str) -> NoReturn:
    raise ImageError(f"The file {what}, which no camera does. Save the image again as PNG.")


def _exif_orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation from EXIF data, else from XMP; 1 where neither can be read."""
    directory = TiffDirectory.read(exif.removeprefix(b"Exif\0\0"), MAX_TIFF_ENTRIES)
    number = directory.number("orientation") if directory else None
    if number is None and (found := ORIENTATION.search(xmp)):
        number = int(found[1])
    return number if number and 1 <= number <= 8 else 1


def _jpeg(content: bytes) -> Picture:
    """Copy tables, frame and scans of the first picture; read its orientation."""
    copied, exif, xmp, at = [content[:2]], b"", b"", 2
    for _ in range(MAX_BLOCKS):
        at = content.find(b"\xff", at)
        if at < 0:
            raise ImageError("The image is damaged or incomplete: it has no picture.")
        marker = content[at + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # no segment follows
            at += 1 if marker == 0xFF else 2
            continue
        if marker == 0xD9:
            raise ImageError("The image is damaged or incomplete: it has no picture.")
        if marker == 0xDA:
            break
        (length,) = struct.unpack_from(">H", content, at + 2)
        segment = content[at : at + 2 + length]
        at += 2 + max(length, 2)
        if marker == 0xE1 and segment[4:10] == b"Exif\0\0":
            exif = exif or segment[4:]
        elif marker == 0xE1 and segment[4:].startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            xmp = xmp or segment
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width = struct.unpack_from(">BHH", segment, 4)
            check_size(width, height)
            if bits != 8:
                raise ImageError(f"JPEG of {bits} bits can't be read. Save it as PNG or TIFF.")
        # JFIF and Adobe segments define how colors are stored; the others are metadata.
        if marker in (0xE0, 0xEE) or marker < 0xE0:
            copied.append(segment)
    else:
        _refuse("has too many segments")
    # Inside a scan, 0xFF is followed by nothing but 0 and the numbers of restarts.
    end = content.find(b"\xff\xd9", at)
    scans = content[at : len(content) if end < 0 else end + 2]
    if scans.count(b"\xff\xda") > MAX_JPEG_SCANS:
        _refuse("paints its picture in too many passes")
    return Picture("JPEG", b"".join([*copied, scans]), _exif_orientation(exif, xmp))


def _png(content: bytes) -> Picture:
    """Copy header, palette, transparency and pixels."""
    check_size(*struct.unpack_from(">II", content, 16))
    head, pixels, exif, xmp = [content[:8]], [], b"", b""
    for name, start, end in _png_chunks(content):
        if name in (b"IHDR", b"PLTE", b"tRNS"):
            head.append(content[start - 8 : end + 4])
        elif name == b"IDAT":
            pixels.append(content[start:end])
        elif name == b"eXIf":
            exif = content[start:end]
        elif name in (b"tEXt", b"zTXt") and content.startswith(b"Raw profile type exif\0", start):
            exif = exif or _hex_exif(name, content[start:end])
        elif name == b"iTXt" and content.startswith(b"XML:com.adobe.xmp\0", start):
            xmp = content[start:end]
        elif name == b"acTL" and struct.unpack_from(">I", content, start)[0] > 1:
            raise ImageError(SEVERAL_FRAMES)
    joined = b"IDAT" + b"".join(pixels)
    body = struct.pack(">I", len(joined) - 4) + joined + struct.pack(">I", zlib.crc32(joined))
    last = b"\0\0\0\0IEND\xaeB`\x82"
    return Picture("PNG", b"".join([*head, body, last]), _exif_orientation(exif, xmp))


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the data of each chunk."""
    at = 8
    for _ in range(MAX_BLOCKS):
        if at + 8 > len(content):
            return
        length, name = struct.unpack_from(">I4s", content, at)
        if name == b"IEND":
            return
        yield name, at + 8, at + 8 + length
        at += 12 + length
    _refuse("has too many chunks")


def _hex_exif(name: bytes, text: bytes) -> bytes:
    """Return EXIF data that ImageMagick wrote into a PNG as text."""
    text = text.partition(b"\0")[2]
    try:
        if name == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], MAX_TEXT_BYTES)
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    # Metadata that can't be read gives no orientation.
    except (zlib.error, ValueError):
        return b""


def _gif(content: bytes) -> Picture:
    """Copy screen, palette and the first image with its transparency."""
    check_size(*struct.unpack_from("<HH", content, 6))
    palette = 3 << ((content[10] & 7) + 1) if content[10] & 0x80 else 0
    at = 13 + palette
    copied, control, images, blocks = [content[:at]], b"", 0, 0

    def skip_blocks(at: int) -> int:
        nonlocal blocks
        while at < len(content) and content[at]:
            at += 1 + content[at]
            blocks += 1
            if blocks > MAX_BLOCKS:
                _refuse("has too many blocks")
        return at + 1

    while at < len(content):
        start, kind = at, content[at]
        if kind == 0x21:
            at = skip_blocks(at + 2)
            if content[start + 1] == 0xF9:
                control = content[start:at]
        elif kind == 0x2C:
            flags = content[at + 9]
            at = skip_blocks(at + 11 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0))
            copied += [control, content[start:at]]
            images += 1
            if images > 1:
                raise ImageError(SEVERAL_FRAMES)
        elif kind == 0x3B:
            break
        else:
            at += 1
        blocks += 1
        if blocks > MAX_BLOCKS:
            _refuse("has too many blocks")
    return Picture("GIF", b"".join([*copied, b";"]))


def _bmp(content: bytes) -> Picture:
    (header_bytes,) = struct.unpack_from("<I", content, 14)
    if header_bytes >= 40:
        width, height, compression = struct.unpack_from("<ii4xI", content, 18)
        check_size(abs(width), abs(height))
        work = max(abs(width * height), len(content))
        if compression in (1, 2) and work > MAX_RLE_PIXELS:
            raise ImageError(
                f"A run-length coded BMP may have at most {MAX_RLE_PIXELS // 1_000_000} megapixels "
                "and megabytes. Save the image as PNG."
            )
    return Picture("BMP", content)


def _webp(content: bytes) -> Picture:
    if content[8:12] != b"WEBP":
        raise ImageError(UNKNOWN)
    exif, xmp, at = b"", b"", 12
    for _ in range(MAX_BLOCKS):
        if at + 8 > len(content):
            break
        name, length = struct.unpack_from("<4sI", content, at)
        data = at + 8
        if name == b"VP8X":
            # libwebp allocates the whole canvas before Pillow knows its size.
            low = struct.unpack_from("<BHBH", content, data + 4)
            check_size(1 + low[0] + (low[1] << 8), 1 + low[2] + (low[3] << 8))
        elif name == b"ANIM":
            raise ImageError(SEVERAL_FRAMES)
        elif name == b"EXIF":
            exif = content[data : data + length]
        elif name == b"XMP ":
            xmp = content[data : data + length]
        at = data + length + length % 2
    else:
        _refuse("has too many chunks")
    return Picture("WEBP", content, _exif_orientation(exif, xmp))


def _heif(content: bytes) -> Picture:
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


def _jpeg2000(content: bytes) -> Picture:
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
        _refuse("has too many color components or tiles")
    at = _check_blocks(content, start + 2, in_tile=False)
    for _ in range(MAX_BLOCKS):
        (length,) = struct.unpack_from(">I", content, at + 6)
        _check_blocks(content, at + 12, in_tile=True)
        at += max(length, 12)
        if not length or content[at : at + 2] != b"\xff\x90":
            return Picture("JPEG2000", content)
    _refuse("has too many tiles")


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
                _refuse("is cut into blocks that are too small or differ")
        at += 2 + max(length, 2)
    _refuse("has too many segments")


def _tiff(content: bytes) -> Picture:
    """Copy the tags of the first page that locate and describe its pixels."""
    directory = TiffDirectory.read(content, MAX_TIFF_ENTRIES)
    if directory is None:
        raise ImageError(
            "The image is damaged or incomplete: its tags are missing or far too many."
        )
    if directory.next_page not in (0, directory.offset):
        raise ImageError(SEVERAL_FRAMES)
    width, height = directory.number("width") or 0, directory.number("height") or 0
    check_size(width, height)
    if directory.number("plane layout") == 2 and (directory.number("bits") or 1) > 8:
        # Pillow reads such planes as 8-bit.
        raise ImageError(
            "The TIFF stores colors of more than 8 bits in separate planes. Save it with "
            "interleaved colors, or as PNG."
        )
    tile = (directory.number("tile width") or 0) * (directory.number("tile height") or 0)
    if tile > max(4 * width * height, 2**22):
        _refuse("has tiles far larger than its picture")
    strips = directory.count("strip offsets") + directory.count("tile offsets")
    if strips > max(8 * height, 2**16):
        _refuse("stores its picture in too many pieces")
    if directory.number("compression") in (6, 7):
        scans = content.count(b"\xff\xda")
        if scans > MAX_JPEG_SCANS * max(strips, 1):
            _refuse("paints its picture in too many passes")
    return Picture(
        "TIFF",
        directory.rewritten(content),
        directory.number("orientation") or 1,
        directory.bit_depth(),
    )


READERS = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"II+\0": _tiff,
    b"MM\0+": _tiff,
    b"GIF87a": _gif,
    b"GIF89a": _gif,
    b"BM": _bmp,
    b"RIFF": _webp,
    b"\0\0\0\x0cjP  \r\n\x87\n": _jpeg2000,
    b"\xff\x4f\xff\x51": _jpeg2000,
}
