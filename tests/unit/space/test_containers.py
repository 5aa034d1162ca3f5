"""What is refused before Pillow sees a file: a second frame, tags with too many values."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from space.inference.images import containers, tiff
from space.inference.images.picture import ImageError


def test_a_second_image_of_a_gif_is_refused_before_it_is_decoded() -> None:
    content = io.BytesIO()
    frames = [Image.new("L", (4, 4), level) for level in (0, 255)]
    frames[0].save(content, "GIF")
    assert containers._gif(content.getvalue()).format == "GIF"
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="several frames"):
        containers._gif(content.getvalue())


@pytest.mark.parametrize(("values", "taken"), [(8, True), (9, False)])
def test_a_tag_of_a_tiff_has_a_bounded_number_of_values(
    monkeypatch: pytest.MonkeyPatch, values: int, taken: bool
) -> None:
    monkeypatch.setattr(tiff, "MAX_VALUES", 8)
    tag = tiff.NUMBERS["tile offsets"]
    # Header, a directory of one entry, and its bytes after it.
    entry = struct.pack("<HHLL", tag, 1, values, 26)
    content = struct.pack("<2sHLH", b"II", 42, 8, 1) + entry + bytes(4) + bytes(range(1, 101))
    directory = tiff.TiffDirectory.read(content, 10)
    assert directory is not None
    assert directory.entries[tag].values == values
    assert directory.values == ({tag: bytes(range(1, 9))} if taken else {})


def test_a_canvas_of_a_webp_has_three_bytes_for_each_side() -> None:
    side = (2**16).to_bytes(3, "little")
    content = b"RIFF\0\0\0\0WEBPVP8X" + struct.pack("<II", 10, 0) + side + side
    with pytest.raises(ImageError, match="65537 × 65537 pixels"):
        containers.picture_of(content)


def test_the_first_exif_data_of_a_jpeg_say_how_it_is_turned() -> None:
    """As Pillow reads them; the second are those of a preview."""
    segments = []
    for orientation in (6, 3):
        exif, content = Image.Exif(), io.BytesIO()
        exif[0x0112] = orientation
        Image.new("L", (8, 4)).save(content, "JPEG", exif=exif)
        at = content.getvalue().index(b"\xff\xe1")
        (length,) = struct.unpack_from(">H", content.getvalue(), at + 2)
        segments.append(content.getvalue()[at : at + 2 + length])
    rest = content.getvalue().replace(segments[1], b"".join(segments))
    assert rest.count(b"Exif") == 2
    assert containers.picture_of(rest).orientation == 6


def test_a_chunk_of_a_webp_begins_at_an_even_place() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    chunks = ((b"note", b"odd"), (b"EXIF", exif.tobytes()))
    content = b"RIFF\0\0\0\0WEBP" + b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for name, data in chunks
    )
    assert containers.picture_of(content).orientation == 8


@pytest.mark.parametrize(("width", "height"), [(641, 640), (640, 649)])
def test_a_tile_that_is_cut_off_counts_in_jpeg_2000(width: int, height: int) -> None:
    """Tiles of 10 pixels: 65 × 64 of them are more than 4,096."""
    sizes = struct.pack(">8IH", width, height, 0, 0, 10, 10, 0, 0, 1)
    with pytest.raises(ImageError, match="too many color components or tiles"):
        containers.picture_of(b"\xff\x4f\xff\x51\0\0\0\0" + sizes)


def test_pillow_does_not_see_the_exif_data_of_an_avif() -> None:
    exif, content = Image.Exif(), io.BytesIO()
    exif[0x010E] = "description"
    Image.new("L", (16, 16)).save(content, "AVIF", exif=exif)
    found = containers.picture_of(content.getvalue())
    with Image.open(io.BytesIO(content.getvalue())) as image:
        assert image.getexif()
    with Image.open(io.BytesIO(found.content)) as image:
        assert not image.getexif()
