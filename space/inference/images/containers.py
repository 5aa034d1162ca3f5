"""Extract the picture from an image file; metadata never reaches a decoder.

Decoders read tags, comments and profiles into memory before the size of the picture is known, and
a file of a megabyte can declare gigabytes of them. Here each container is parsed with bounds, its
orientation and bit depth are read, and the decoder gets a copy without the rest.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from .box_formats import heif, jpeg2000
from .picture import (
    MAX_BLOCKS,
    MAX_TIFF_ENTRIES,
    SEVERAL_FRAMES,
    UNKNOWN,
    ImageError,
    Picture,
    check_size,
    exif_orientation,
    refused,
)
from .tiff import TiffDirectory

# Encoders write 1 to 20. Each scan costs a pass over the whole picture, however short it is.
MAX_JPEG_SCANS = 64
# Pillow decodes run-length coded BMPs in Python.
MAX_RLE_PIXELS = 4_000_000
# Inflated text of a PNG that may hold EXIF data.
MAX_TEXT_BYTES = 2**17

# First bytes of the formats whose samples may have more than 8 bits.
DEEP_KINDS = (
    *(b"\x89PNG", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *(b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51"),
)


def picture_of(content: bytes) -> Picture:
    """Return the data that a decoder needs from a file.

    Raises:
        ImageError: the format is not supported, or no camera or program writes such a file.
    """
    if not content:
        raise ImageError("The file is empty.")
    # HEIF files begin with the length of their first box.
    kind = heif if content[4:8] == b"ftyp" else None
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
        raise refused("has too many segments")
    # Inside a scan, 0xFF is followed by nothing but 0 and the numbers of restarts.
    end = content.find(b"\xff\xd9", at)
    scans = content[at : len(content) if end < 0 else end + 2]
    if scans.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise refused("paints its picture in too many passes")
    return Picture("JPEG", b"".join([*copied, scans]), exif_orientation(exif, xmp))


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
    return Picture("PNG", b"".join([*head, body, last]), exif_orientation(exif, xmp))


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
    raise refused("has too many chunks")


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
                raise refused("has too many blocks")
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
            raise refused("has too many blocks")
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
        raise refused("has too many chunks")
    return Picture("WEBP", content, exif_orientation(exif, xmp))


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
        raise refused("has tiles far larger than its picture")
    strips = directory.count("strip offsets") + directory.count("tile offsets")
    if strips > max(8 * height, 2**16):
        raise refused("stores its picture in too many pieces")
    if directory.number("compression") in (6, 7):
        scans = content.count(b"\xff\xda")
        if scans > MAX_JPEG_SCANS * max(strips, 1):
            raise refused("paints its picture in too many passes")
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
    b"\0\0\0\x0cjP  \r\n\x87\n": jpeg2000,
    b"\xff\x4f\xff\x51": jpeg2000,
}
