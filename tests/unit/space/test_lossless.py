"""A stored image has the samples of the file at their full depth, and nothing else of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from space.inference.images.decoding import Decoder
from space.inference.images.lossless import png_of
from space.inference.images.reader import ORIENTATION_TAG, decode_image, read_image
from tests.support.bit_depth_images import picture, stored

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", MODES)
def test_the_picture_of_eight_bits_is_the_same(mode: str) -> None:
    rng = np.random.default_rng(5)
    rgba = Image.fromarray(rng.integers(0, 256, (13, 17, 4), np.uint8))
    content = encoded(
        (rgba if mode in ("LA", "RGBA") else rgba.convert("RGB")).convert(mode), "TIFF"
    )
    kept = png_of(decode_image(content))
    assert read_image(io.BytesIO(kept)).tobytes() == read_image(io.BytesIO(content)).tobytes()
    modes = {"1": "L", "L": "L", "LA": "RGBA", "RGBA": "RGBA"}
    assert Image.open(io.BytesIO(kept)).mode == modes.get(mode, "RGB")


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_samples_keep_their_depth(bits: int) -> None:
    levels = stored(picture(3), bits)
    kept = decode_image(png_of(decode_image(encoded(Image.fromarray(levels), "TIFF"))))
    assert kept.levels is not None
    assert (kept.levels[:, :, 0] == levels).all()
    assert kept.bit_depth == bits


def test_deep_color_and_opacity_are_kept() -> None:
    rng = np.random.default_rng(1)
    rgba = rng.integers(0, 65536, (9, 7, 4), np.uint16)
    first = decode_image(encoded(Image.new("L", (7, 9)), "PNG"))
    for levels, alpha in ((rgba[:, :, :3], rgba[:, :, 3]), (rgba[:, :, :1], rgba[:, :, 3])):
        deep = type(first)(first.image, levels, alpha, 1, None)
        kept = decode_image(png_of(deep))
        assert kept.levels is not None
        assert kept.alpha is not None
        assert (kept.levels == levels).all()
        assert (kept.alpha == alpha).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_it_is_upright(orientation: int, deep: bool) -> None:
    levels = np.arange(15, dtype=np.uint16).reshape(3, 5) * (4000 if deep else 1)
    image = Image.fromarray(levels if deep else levels.astype(np.uint8))
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    content = encoded(image, "PNG", exif=exif)
    kept = png_of(decode_image(content))
    assert decode_image(kept).orientation == 1
    assert read_image(io.BytesIO(kept)).tobytes() == read_image(io.BytesIO(content)).tobytes()
    assert read_image(io.BytesIO(kept)).size == ((5, 3) if orientation < 5 else (3, 5))


def test_no_metadata_is_kept() -> None:
    exif, text = Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x010F] = "CAMERA-OF-ADA"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    text.add_text("Author", "ADA-LOVELACE")
    noise = Image.fromarray(picture(1))
    for kind, options in (
        ("PNG", {"exif": exif, "pnginfo": text, "icc_profile": b"PROFILE-OF-ADA", "dpi": (72, 72)}),
        ("JPEG", {"exif": exif, "comment": b"COMMENT-OF-ADA"}),
        ("TIFF", {"description": "PLANT-OF-ADA", "software": "ADA"}),
    ):
        content = encoded(noise, kind, **options)
        assert b"ADA" in content
        kept = png_of(decode_image(content))
        assert b"ADA" not in kept
        chunks = [name for name in (b"eXIf", b"iTXt", b"tEXt", b"iCCP", b"pHYs") if name in kept]
        assert chunks == []


def test_the_separate_process_returns_the_same(tmp_path: Path) -> None:
    file = tmp_path / "deep.tif"
    Image.fromarray(stored(picture(8), 16)).save(file)
    with Decoder(workers=1, limit_s=60) as decoder:
        assert decoder.to_png(file) == png_of(decode_image(file.read_bytes()))
        assert decoder.read(file).size == (40, 40)
