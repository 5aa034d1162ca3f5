"""Image files that are small, and would cost a careless decoder gigabytes or minutes."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image, features

TAG_BOMBS = [(8_000, 100_000), (60, 15_000_000), (3_000, 60_000), (60_000, 200_000)]


def encoded(
    kind: str, size: tuple[int, int] = (24, 24), mode: str = "RGB", **options: Any
) -> bytes:
    """Return a harmless image of a kind."""
    buffer = io.BytesIO()
    Image.new(mode, size, 90).save(buffer, kind, **options)
    return buffer.getvalue()


def hostile_files() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each."""
    for make in (
        *(tag_bombs, exif_bombs, jpeg_scans, jpeg_segments, gif_blocks, bmp_runs, png_chunks),
        *(png_texts, tiff_layouts, webp_sizes, jpeg2000_layouts, sizes),
    ):
        yield from make()


def tiff_tags(
    tags: int, size: int, *, kind: int = 7, big: bool = False, order: str = "<", link: int = 0
) -> bytes:
    """Return a TIFF of 8 × 8 pixels whose extra tags all say that they hold the same bytes.

    With a `link`, they lie in a second directory that this tag of the first one points to.
    """
    head, where = (16, "Q") if big else (8, "L")
    layout = struct.Struct(order + ("HHQQ" if big else "HHLL"))
    unit = {3: 2, 4: 4, 5: 8, 7: 1, 12: 8}[kind]
    pixels, start = bytes(64), head
    blob = start + len(pixels)
    plain = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, start), (277, 1), (279, 64)]
    bombs = [layout.pack(40_000 + n % 25_000, kind, size // unit, blob) for n in range(tags)]
    directory_at = blob + size
    entries = [layout.pack(tag, 4, 1, value) for tag, value in plain]
    count = struct.Struct(order + ("Q" if big else "H"))
    second = b""
    if link:
        first_bytes = count.size + layout.size * (len(plain) + 1) + struct.calcsize(order + where)
        entries.append(layout.pack(link, 4, 1, directory_at + first_bytes))
        second = count.pack(len(bombs)) + b"".join(bombs) + bytes(8)
    else:
        entries += bombs
    directory = count.pack(len(entries)) + b"".join(entries) + bytes(8 if big else 4)
    mark = b"II" if order == "<" else b"MM"
    header = mark + struct.pack(order + "H", 43 if big else 42)
    header += (
        struct.pack(order + "HHQ", 8, 0, directory_at)
        if big
        else struct.pack(order + "L", directory_at)
    )
    return header + pixels + bytes(size) + directory + second


def tag_bombs() -> Iterator[tuple[str, bytes]]:
    for (tags, size), kind, big in itertools.product(TAG_BOMBS, (3, 7), (False, True)):
        yield (
            f"TIFF, {tags} tags of {size} bytes of type {kind}, big={big}",
            tiff_tags(tags, min(size, 500_000), kind=kind, big=big),
        )
    for link in (34665, 34853, 40965, 330):
        yield f"TIFF, tags behind tag {link}", tiff_tags(20_000, 200_000, link=link)
    yield "TIFF, tags in the other byte order", tiff_tags(8_000, 100_000, order=">")


def exif_bombs() -> Iterator[tuple[str, bytes]]:
    """EXIF data of other formats, where they are a TIFF in a chunk."""
    exif = b"Exif\0\0" + tiff_tags(3_000, 20_000, kind=3)
    for kind in ("PNG", "JPEG", "WEBP", *(["AVIF"] if features.check("avif") else [])):
        small = exif if kind != "JPEG" else b"Exif\0\0" + tiff_tags(2_000, 30_000, kind=3)
        yield f"{kind}, EXIF of 3,000 tags", encoded(kind, exif=small)
    plain = encoded("JPEG")
    segments = b""
    for first in range(0, 2_000_000, 60_000):
        part = tiff_tags(20_000, 1_700_000)[first : first + 60_000]
        segments += b"\xff\xe1" + struct.pack(">H", 8 + len(part)) + b"Exif\0\0" + part
    yield "JPEG, EXIF in many segments", plain[:2] + segments + plain[2:]
    multi = b"MPF\0" + tiff_tags(2_500, 30_000, kind=3)
    yield (
        "JPEG, MPF of 2,500 tags",
        (plain[:2] + b"\xff\xe2" + struct.pack(">H", 2 + len(multi)) + multi + plain[2:]),
    )


def _progressive(size: tuple[int, int], scans: int, ending: bytes = b"\xff\xd9") -> bytes:
    """Return a JPEG whose last scan is repeated, as a scan of no data."""
    whole = encoded("JPEG", size, progressive=True)
    last = whole.rfind(b"\xff\xda")
    (length,) = struct.unpack_from(">H", whole, last + 2)
    scan = whole[last : last + 2 + length] + b"\0"
    return whole[:-2] + scan * scans + ending


def jpeg_scans() -> Iterator[tuple[str, bytes]]:
    for scans, size in itertools.product((500, 6_000, 200_000), ((64, 64), (2_000, 2_000))):
        yield f"JPEG, {scans} scans of {size}", _progressive(size, scans)
    yield "JPEG, scans without an end", _progressive((2_000, 2_000), 6_000, b"")
    hidden = b"\xff\xfe\0\x04\xff\xd9"
    yield (
        "JPEG, scans behind an end in a comment",
        _progressive((2_000, 2_000), 5, hidden) + (_progressive((2_000, 2_000), 6_000)),
    )
    data = _progressive((64, 64), 6_000)
    yield "TIFF, JPEG of 6,000 scans in it", _tiff({259: 7, 262: 6, 277: 3, 256: 64, 257: 64}, data)


def jpeg_segments() -> Iterator[tuple[str, bytes]]:
    plain = encoded("JPEG")
    for name, junk in {
        "empty comments": b"\xff\xfe\0\x02" * 400_000,
        "fill bytes": b"\xff" * 3_000_000,
        "zeros between": b"\0" * 3_000_000,
        "segments of length 0": b"\xff\xe5\0\0" * 400_000,
        "restarts": b"\xff\xd0" * 400_000,
    }.items():
        yield f"JPEG, {name}", plain[:2] + junk + plain[2:]


def gif_blocks() -> Iterator[tuple[str, bytes]]:
    plain = encoded("GIF", mode="L")
    start = 13 + (3 << ((plain[10] & 7) + 1))
    for count in (100_000, 1_000_000):
        for kind in (0xFE, 0xFF, 0xF9, 0x01):
            blocks = bytes((0x21, kind)) + b"\x01a" * count + b"\0"
            yield (
                f"GIF, extension {kind:x} in {count} pieces",
                plain[:start] + blocks + plain[start:],
            )
    yield "GIF, 400,000 comments", plain[:start] + b"\x21\xfe\x01a\0" * 400_000 + plain[start:]
    yield "GIF, zeros before the image", plain[:start] + bytes(3_000_000) + plain[start:]
    yield "GIF, comments after the image", plain[:-1] + b"\x21\xfe" + b"\x01a" * 1_000_000 + b"\0;"


def bmp_runs() -> Iterator[tuple[str, bytes]]:
    """Run-length coded bitmaps: every line is ended at once, jumped over, or never filled."""
    for (width, height), compression, runs in itertools.product(
        ((7_000, 7_000), (70_000, 700)),
        (1, 2),
        (
            b"\0\0" * 7_000,
            b"\0\x02\xff\xff" * 500,
            b"\x01\x05" * 2_500_000,
            b"\xff\x05\0\0" * 7_000,
        ),
    ):
        bits = 8 if compression == 1 else 4
        palette = b"".join(bytes((n, n, 0, 0)) for n in range(1 << bits))
        head = struct.pack(
            "<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(runs), 0, 0, 1 << bits, 0
        )
        offset = 14 + len(head) + len(palette)
        file = struct.pack("<2sIHHI", b"BM", offset + len(runs), 0, 0, offset)
        yield f"BMP, {width} × {height}, {compression}, {runs[:4]!r}", file + head + palette + runs


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def png_chunks() -> Iterator[tuple[str, bytes]]:
    plain = encoded("PNG")
    start = 8 + 25  # after IHDR
    for name in (b"tEXt", b"prVt", b"IDAT", b"gAMA"):
        many = _chunk(name, b"a\0b") * 400_000
        yield f"PNG, 400,000 chunks {name!r}", plain[:start] + many + plain[start:]
    bomb = _chunk(b"IDAT", zlib.compress(bytes(60_000_000), 1))
    yield "PNG, far more pixels than it has", plain[:start] + bomb + _chunk(b"IEND", b"")


def png_texts() -> Iterator[tuple[str, bytes]]:
    plain, start = encoded("PNG"), 8 + 25
    inflated = zlib.compress(bytes(50_000_000), 1)
    for name, content in {
        "zTXt": _chunk(b"zTXt", b"a\0\0" + inflated),
        "iTXt": _chunk(b"iTXt", b"a\0\1\0\0\0" + inflated),
        "iCCP": _chunk(b"iCCP", b"a\0\0" + inflated),
        "EXIF in zTXt": _chunk(b"zTXt", b"Raw profile type exif\0\0" + inflated),
        "60 zTXt": _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000), 1)) * 60,
        "EXIF in tEXt": _chunk(b"tEXt", b"Raw profile type exif\0" + b"\n0" * 3_000_000),
    }.items():
        yield f"PNG, {name}", plain[:start] + content + plain[start:]


def _tiff(tags: dict[int, int], data: bytes, counts: dict[int, int] | None = None) -> bytes:
    """Return a TIFF of one strip, or tile, of `data`."""
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 279: len(data)} | tags
    directory = struct.pack("<H", len(tags))
    for tag, value in sorted(tags.items()):
        directory += struct.pack("<HHLL", tag, 4, (counts or {}).get(tag, 1), value)
    data += bytes(len(data) % 2)
    return b"II*\0" + struct.pack("<L", 8 + len(data)) + data + directory + bytes(4)


def tiff_layouts() -> Iterator[tuple[str, bytes]]:
    bomb = zlib.compress(bytes(60_000_000), 1)
    tile = {322: 16_384, 323: 16_384, 324: 8, 325: len(bomb), 259: 8}
    yield "TIFF, a tile larger than its picture", _tiff(tile, bomb)
    yield "TIFF, a strip larger than its picture", _tiff({259: 8, 278: 2**31}, bomb)
    many = struct.pack("<L", 8) * 1_000_000
    for tag in (273, 324):
        tags = {273: 8, 324: 8, 322: 16, 323: 16}
        yield f"TIFF, a million of tag {tag}", _tiff(tags, many, {tag: 1_000_000})
    for tag in (258, 320, 338, 339, 347, 513, 519):
        yield f"TIFF, a million values of tag {tag}", _tiff({tag: 8}, many, {tag: 1_000_000})
        yield f"TIFF, tag {tag} beyond its end", _tiff({tag: 8}, many, {tag: 2**32 - 1})
    yield "TIFF, its own next page", _tiff({}, bytes(64))[:-4] + struct.pack("<L", 8 + 64)
    yield "TIFF, 65,535 samples", _tiff({277: 65_535}, bytes(64))


def webp_sizes() -> Iterator[tuple[str, bytes]]:
    body = encoded("WEBP")[12:]
    for side in (8_000, 16_383):
        canvas = (side - 1).to_bytes(3, "little")
        content = b"WEBP" + b"VP8X" + struct.pack("<II", 10, 0) + canvas + canvas + body
        yield f"WebP, canvas of {side}", b"RIFF" + struct.pack("<I", len(content)) + content
    chunks = b"WEBP" + body + b"abcd\0\0\0\0" * 400_000
    yield "WebP, 400,000 chunks", b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def jpeg2000_layouts() -> Iterator[tuple[str, bytes]]:
    plain = b"\0\0\0\1\0\5\4\4\0\1"
    for tile, components, style in (
        *((1, 3, plain), (25, 3, plain), (5_000, 16_384, plain)),
        # Precincts, and blocks, of one pixel to sixteen.
        (5_000, 1, b"\1\0\0\1\0\5\4\4\0\1" + bytes(6)),
        (5_000, 2, b"\0\0\0\1\0\5\0\0\0\1"),
    ):
        size = struct.pack(">8I", 5_000, 5_000, 0, 0, tile, tile, 0, 0)
        body = b"\0\0" + size + struct.pack(">H", components) + b"\7\1\1" * components
        header = b"\xff\x4f\xff\x51" + struct.pack(">H", 2 + len(body)) + body
        header += b"\xff\x52" + struct.pack(">H", 2 + len(style)) + style
        header += b"\xff\x5c\0\x13\x40" + b"\x40" * 16
        tiles = b"\xff\x90\0\x0a\0\0\0\0\0\0\0\1\xff\x93\xff\xd9"
        yield f"JPEG 2000, tiles of {tile}, {components} components", header + tiles


def sizes() -> Iterator[tuple[str, bytes]]:
    """Each kind, with a header that announces far too many pixels."""
    png = bytearray(encoded("PNG"))
    png[16:24] = struct.pack(">II", 50_000, 50_000)
    gif = bytearray(encoded("GIF", mode="L"))
    gif[6:10] = b"\xff\xff\xff\xff"
    jpeg = bytearray(encoded("JPEG"))
    frame = jpeg.find(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    bmp = bytearray(encoded("BMP"))
    bmp[18:26] = struct.pack("<ii", 50_000, -50_000)
    yield from (("PNG, size", bytes(png)), ("GIF, size", bytes(gif)), ("JPEG, size", bytes(jpeg)))
    yield "BMP, size", bytes(bmp)
    yield "TIFF, size", _tiff({256: 50_000, 257: 50_000}, bytes(64))
