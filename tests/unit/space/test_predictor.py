"""Reading images of every kind, and loading and running a published model."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features
from scipy.special import softmax

from space.inference.core.model_id import check_local_folder, split_model_id
from space.inference.predictor import (
    ImageError,
    ModelError,
    Prediction,
    Predictor,
    find_model_folder,
    read_image,
)
from tests.support.hostile_images import jpeg2000_layouts, sizes, tiff_layouts, webp_sizes
from tests.support.published_folder import noise, write_published_folder
from tests.support.reports import LABELS

RED, WHITE = (255, 0, 0), (255, 255, 255)
# Lossless wherever pixels are compared exactly.
FORMAT_OF_MODE = {
    "1": "PNG",
    "L": "PNG",
    "LA": "PNG",
    "P": "PNG",
    "RGB": "PNG",
    "RGBA": "PNG",
    "I;16": "PNG",
    "CMYK": "TIFF",
    "YCbCr": "JPEG",
    "LAB": "TIFF",
}


def _encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    buffer.seek(0)
    return buffer


def _gray(levels: list[list[int]], depth: type[np.integer[Any]] = np.uint8) -> Image.Image:
    return Image.fromarray(np.array(levels, depth))


def _levels(image: Image.Image) -> list[list[int]]:
    """Return the gray levels of an RGB image that is known to be gray."""
    pixels = np.asarray(image)
    assert image.mode == "RGB"
    assert (pixels == pixels[:, :, :1]).all()
    levels: list[list[int]] = pixels[:, :, 0].tolist()
    return levels


def _pixel(image: Image.Image) -> tuple[int, ...]:
    assert image.mode == "RGB"
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


# Images that can be predicted.


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_8_bit_gray_keeps_its_levels(kind: str) -> None:
    assert _levels(read_image(_encoded(_gray([[0, 7, 255]]), kind))) == [[0, 7, 255]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_and_not_clipped(kind: str) -> None:
    stored = _encoded(_gray([[0, 255, 256, 32768, 65535]], np.uint16), kind)
    assert _levels(read_image(stored)) == [[0, 0, 1, 128, 255]]


def test_16_bit_gray_of_the_other_byte_order() -> None:
    """A big-endian TIFF, written by hand: two pixels, 0x0100 and 0xFF00."""
    entries = [(256, 2), (257, 1), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (279, 4)]
    directory = struct.pack(">H", len(entries))
    for tag, value in entries:
        directory += struct.pack(">HHIHH", tag, 3, 1, value, 0)
    header = struct.pack(">2sHI", b"MM", 42, 12)
    tiff = header + b"\x01\x00\xff\x00" + directory + bytes(4)
    assert _levels(read_image(io.BytesIO(tiff))) == [[1, 255]]


def test_16_bit_gray_with_a_transparent_level() -> None:
    stored = _encoded(_gray([[0, 1000, 25600]], np.uint16), transparency=1000)
    assert _levels(read_image(stored)) == [[0, 255, 100]]


def test_bilevel() -> None:
    assert _levels(read_image(_encoded(_gray([[0, 255]]).convert("1")))) == [[0, 255]]


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [
        ("LA", (0, 0), WHITE),
        ("LA", (100, 255), (100, 100, 100)),
        ("RGBA", (0, 0, 0, 0), WHITE),
        ("RGBA", (255, 0, 0, 255), RED),
        # Half of black over white.
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
    ],
)
def test_transparent_pixels_become_white(
    mode: str, colour: tuple[int, ...], seen: tuple[int, ...]
) -> None:
    assert _pixel(read_image(_encoded(Image.new(mode, (2, 2), colour)))) == seen


@pytest.mark.parametrize(
    ("mode", "colour", "key"), [("L", 9, 9), ("RGB", RED, RED), ("P", 0, 0), ("P", 0, b"\0")]
)
def test_a_transparent_colour_becomes_white(mode: str, colour: Any, key: Any) -> None:
    assert _pixel(read_image(_encoded(Image.new(mode, (2, 2), colour), transparency=key))) == WHITE


@pytest.mark.parametrize(
    ("ink", "seen"),
    [((0, 0, 0, 0), WHITE), ((0, 255, 255, 0), RED), ((0, 0, 0, 255), (0, 0, 0))],
)
@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk(kind: str, ink: tuple[int, ...], seen: tuple[int, ...]) -> None:
    pixel = _pixel(read_image(_encoded(Image.new("CMYK", (16, 16), ink), kind)))
    assert np.abs(np.subtract(pixel, seen)).max() <= (0 if kind == "TIFF" else 2)


@pytest.mark.parametrize(
    ("orientation", "seen"),
    [
        (1, [[1, 2, 3], [4, 5, 6]]),
        (2, [[3, 2, 1], [6, 5, 4]]),
        (3, [[6, 5, 4], [3, 2, 1]]),
        (4, [[4, 5, 6], [1, 2, 3]]),
        (5, [[1, 4], [2, 5], [3, 6]]),
        (6, [[4, 1], [5, 2], [6, 3]]),
        (7, [[6, 3], [5, 2], [4, 1]]),
        (8, [[3, 6], [2, 5], [1, 4]]),
        (99, [[1, 2, 3], [4, 5, 6]]),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_rotation_is_applied_once(kind: str, orientation: int, seen: list[list[int]]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = _encoded(_gray([[1, 2, 3], [4, 5, 6]]), kind, exif=exif)
    assert _levels(read_image(stored)) == seen


def _with_chunk(png: bytes, name: bytes, content: bytes) -> io.BytesIO:
    """Return a PNG with one more chunk behind its header."""
    check = struct.pack(">I", zlib.crc32(name + content))
    chunk = struct.pack(">I", len(content)) + name + content + check
    return io.BytesIO(png[:33] + chunk + png[33:])


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_rotation_in_xmp_is_applied(kind: str) -> None:
    image = Image.new("RGB", (8, 4))
    if kind == "PNG":
        text = b"XML:com.adobe.xmp\0\0\0\0\0" + XMP
        stored = _with_chunk(_encoded(image).getvalue(), b"iTXt", text)
    else:
        stored = _encoded(image, kind, xmp=XMP)
    assert read_image(stored).size == (4, 8)
    # EXIF data count first.
    exif = Image.Exif()
    exif[0x0112] = 1
    if kind != "PNG":
        assert read_image(_encoded(image, kind, xmp=XMP, exif=exif)).size == (8, 4)


@pytest.mark.parametrize("name", [b"tEXt", b"zTXt"])
def test_a_rotation_that_imagemagick_wrote_into_a_png_is_applied(name: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()
    text = b"\nexif\n%8d\n%s\n" % (len(raw), raw.hex().encode())
    content = text if name == b"tEXt" else b"\0" + zlib.compress(text)
    plain = _encoded(Image.new("RGB", (8, 4))).getvalue()
    stored = _with_chunk(plain, name, b"Raw profile type exif\0" + content)
    assert read_image(stored).size == (4, 8)


def test_exif_rotation_of_16_bit_gray() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = _encoded(_gray([[256, 512]], np.uint16), exif=exif)
    assert _levels(read_image(stored)) == [[1], [2]]


def test_odd_exif_entries_do_not_spoil_a_photograph() -> None:
    """The horizontal resolution is a text here; Pillow can read but not rewrite such data."""
    entries = struct.pack("<HHIHH", 274, 3, 1, 6, 0) + struct.pack("<HHI4s", 282, 2, 4, b"abc\0")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    stored = _encoded(Image.new("RGB", (4, 2)), "JPEG", exif=exif)
    assert read_image(stored).size == (2, 4)


def test_the_photograph_in_an_mpo_is_its_first_picture() -> None:
    stored = _encoded(
        Image.new("RGB", (16, 16), RED),
        "MPO",
        save_all=True,
        append_images=[Image.new("RGB", (16, 16), "blue")],
    )
    assert np.abs(np.subtract(_pixel(read_image(stored)), RED)).max() <= 2


def test_a_file_is_read_by_its_content_and_not_its_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(_encoded(_gray([[42]])).getvalue())
    assert _levels(read_image(path)) == _levels(read_image(str(path))) == [[42]]


@given(
    mode=st.sampled_from(sorted(FORMAT_OF_MODE)),
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_every_mode_gives_rgb_of_the_same_size(
    mode: str, width: int, height: int, seed: int
) -> None:
    image = Image.frombytes(mode, (width, height), np.random.default_rng(seed).bytes(9 * 9 * 4))
    read = read_image(_encoded(image, FORMAT_OF_MODE[mode]))
    assert (read.mode, read.size) == ("RGB", (width, height))
    if mode in ("1", "L", "RGB"):
        assert read.tobytes() == image.convert("RGB").tobytes()


# Files that can't.


def _frames() -> dict[str, Any]:
    return {"save_all": True, "append_images": [Image.new("L", (4, 4), 200)]}


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_several_frames_are_refused(kind: str) -> None:
    with pytest.raises(ImageError, match="several frames"):
        read_image(_encoded(Image.new("L", (4, 4)), kind, **_frames()))


def _png_that_claims(width: int, height: int) -> io.BytesIO:
    """Return a PNG of a few bytes whose header announces any number of pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0"))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("width", "height", "says"),
    [
        (7072, 7071, "7072 × 7071 pixels; the limit is 50 megapixels"),
        # Pillow would warn of the first of these, and refuse the second in its own words.
        (10_000, 10_000, "pixels"),
        (100_000, 100_000, "pixels"),
        (101, 1, "line rather than a surface"),
        (1, 101, "line rather than a surface"),
    ],
)
def test_a_size_out_of_bounds_is_refused_before_decoding(
    width: int, height: int, says: str
) -> None:
    with pytest.raises(ImageError, match=says):
        read_image(_png_that_claims(width, height))


def test_each_kind_is_refused_by_the_size_in_its_header() -> None:
    canvases = [(name, content) for name, content in webp_sizes() if "canvas" in name]
    refused = [*sizes(), *canvases]
    assert len(refused) == 7
    for name, content in refused:
        with pytest.raises(ImageError, match="pixels; the limit is 50 megapixels"):
            read_image(io.BytesIO(content))
            raise AssertionError(name)


def test_tiles_that_cost_far_more_than_the_picture_are_refused_before_decoding() -> None:
    files = dict([*tiff_layouts(), *jpeg2000_layouts()])
    for name, says in {
        "TIFF, a tile larger than its picture": "has tiles far larger than its picture",
        "JPEG 2000, tiles of 1, 3 components": "too many color components or tiles",
        "JPEG 2000, tiles of 5000, 16384 components": "too many color components or tiles",
    }.items():
        with pytest.raises(ImageError, match=says):
            read_image(io.BytesIO(files[name]))


def test_sizes_at_the_bounds_are_accepted() -> None:
    assert read_image(_encoded(Image.new("L", (100, 1)))).size == (100, 1)
    with pytest.raises(ImageError, match="damaged or incomplete"):
        read_image(_png_that_claims(7071, 7071))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_a_truncated_file_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = _encoded(Image.fromarray(noise), kind).getvalue()
    with pytest.raises(ImageError, match=r"damaged|not an image"):
        read_image(io.BytesIO(whole[: len(whole) // 2]))


def _pdf() -> bytes:
    return _encoded(Image.new("RGB", (4, 4)), "PDF").getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"\0",
        b"no image at all",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"P5 1 1 255 \0",
        _pdf(),
    ],
    ids=["zero", "text", "svg", "eps", "ppm", "pdf"],
)
def test_what_is_no_image_of_a_known_kind_is_refused(content: bytes) -> None:
    with pytest.raises(ImageError, match="not an image in JPEG"):
        read_image(io.BytesIO(content))


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (np.array([[0.5]], np.float32), "floating-point"),
        (np.array([[70_000]], np.int32), "32-bit"),
        (np.array([[-1]], np.int32), "32-bit"),
    ],
)
def test_a_depth_that_cannot_be_scaled_is_refused(pixels: Any, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        read_image(_encoded(Image.fromarray(pixels), "TIFF"))


def test_an_empty_file_is_called_empty() -> None:
    with pytest.raises(ImageError, match=r"^The file is empty\.$"):
        read_image(io.BytesIO(b""))


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_heic_is_known_by_its_content(brand: bytes, tmp_path: Path) -> None:
    file = tmp_path / "named.jpg"
    file.write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(40))
    with pytest.raises(ImageError, match="HEIC: save as JPEG or PNG"):
        read_image(file)


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000"])
def test_formats_that_need_a_library_are_read_where_pillow_has_it(kind: str) -> None:
    if not features.check({"AVIF": "avif", "JPEG2000": "jpg_2000"}[kind]):
        pytest.skip(f"this Pillow can't read {kind}")
    gray = np.full((40, 30), 90, np.uint8)
    assert abs(_pixel(read_image(_encoded(Image.fromarray(gray).convert("RGB"), kind)))[0] - 90) < 3


def test_exif_of_an_avif_turns_it_once() -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow can't read AVIF")
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_image(_encoded(Image.new("RGB", (40, 20)), "AVIF", exif=exif)).size == (20, 40)


def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="can't be opened: No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="can't be opened: it is a folder"):
        read_image(tmp_path)


@given(
    kind=st.sampled_from(["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"]),
    changes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=8),
    end=st.integers(0, 400),
)
def test_damage_never_raises_anything_but_an_image_error(
    kind: str, changes: list[tuple[int, int]], end: int
) -> None:
    content = bytearray(_encoded(_gray([[0, 90, 200]] * 3), kind).getvalue()[:end])
    for place, value in changes:
        if place < len(content):
            content[place] = value
    try:
        assert read_image(io.BytesIO(content)).mode == "RGB"
    except ImageError as error:
        assert str(error)


# Models.


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder, which no test changes."""
    folder = tmp_path_factory.mktemp("predictor") / "published"
    write_published_folder(folder)
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A published folder, to change."""
    return shutil.copytree(published, tmp_path / "published")


@pytest.fixture
def decided(package: Path, tmp_path: Path) -> Path:
    """A published folder with a decision, to change."""
    return shutil.copytree(package, tmp_path / "decided")


def _photo(seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (50, 70, 3), np.uint8)
    return Image.fromarray(pixels)


def test_a_loaded_model_computes_what_the_saved_one_did(tmp_path: Path) -> None:
    # Characters that an address would give a meaning to.
    folder = tmp_path / "a model @1#2?"
    saved = write_published_folder(folder, seed=5)
    predictor = Predictor.load(f"local-dir:{folder}", engine="pytorch")
    assert predictor.labels == LABELS
    assert predictor.folder == folder
    batch = torch.cat([predictor.normalized(_photo(seed)) for seed in (0, 1)])
    with torch.inference_mode():
        expected = saved(batch)
    assert np.array_equal(predictor.logits([_photo(0), _photo(1)]), expected.numpy())
    assert not torch.equal(expected[0], expected[1])


def test_probabilities_are_the_softmax_of_the_logits(folder: Path) -> None:
    predictor = Predictor(folder)
    (prediction,) = predictor.predict([_photo()])
    powers = [math.exp(logit) for logit in predictor.logits([_photo()])[0].tolist()]
    expected = {label: power / sum(powers) for label, power in zip(LABELS, powers, strict=True)}
    assert list(prediction.probabilities) == LABELS
    assert prediction.probabilities == pytest.approx(expected, rel=1e-6)
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-12)


def test_a_prediction_names_its_most_probable_class() -> None:
    prediction = Prediction({"Crazing": 0.2, "Rolled": 0.7, "Pitted": 0.1})
    assert (prediction.label, prediction.confidence) == ("Rolled", 0.7)


def test_images_are_prepared_as_the_folder_says(folder: Path) -> None:
    """Squashed to the input size, then normalised with the model's own mean and deviation."""
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"] |= {
        "input_size": [3, 32, 32],
        "crop_mode": "squash",
        "crop_pct": 1.0,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.5, 1.0],
    }
    (folder / "config.json").write_text(json.dumps(config))
    [prepared] = Predictor(folder).normalized(Image.new("RGB", (90, 20), WHITE))
    assert prepared.shape == (3, 32, 32)
    assert prepared.amin(dim=(1, 2)).tolist() == [2.0, 1.0, 0.5]
    assert prepared.amax(dim=(1, 2)).tolist() == [2.0, 1.0, 0.5]


def _set_labels(folder: Path, labels: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["label_names"] = config["pretrained_cfg"]["label_names"] = labels
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (None, "label_names: Input should be a valid array"),
        ({"0": "Crazing"}, "label_names: Input should be a valid array"),
        ([1, 2, 3, 4, 5, 6], r"label_names.0: Input should be a valid string.*and 3 more"),
        (LABELS[:5], "6 outputs but 5 label names"),
        ([*LABELS[:5], LABELS[0]], "two classes have the same name"),
    ],
)
def test_label_names_that_do_not_fit_are_refused(folder: Path, labels: object, says: str) -> None:
    _set_labels(folder, labels)
    with pytest.raises(ModelError, match=says):
        Predictor(folder)


def _without_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    torch.save({}, folder / "pytorch_model.bin")
    weights.unlink()


def _without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _half_the_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def _unknown_architecture(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architecture": "convnext_zetta"}))


def _gray_input(folder: Path) -> None:
    model = timm.create_model("test_convnext", num_classes=6, in_chans=1)
    timm.models.save_for_hf(
        model, str(folder), model_config={"label_names": LABELS}, safe_serialization=True
    )


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_without_weights, "not a published model: it has no model.safetensors"),
        (_without_config, "not a published model: it has no config.json"),
        (_half_the_weights, "model.safetensors is damaged"),
        (_unknown_architecture, "config.json can't be used: architecture.*convnext_zetta"),
        (_gray_input, "does not take RGB images"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(
    folder: Path, harm: Callable[[Path], None], says: str
) -> None:
    harm(folder)
    with pytest.raises(ModelError, match=says):
        Predictor(folder)


@pytest.mark.parametrize(
    "model_id", ["", "user/name", "hf-hub:", "local-dir:", "https://example.org/a", "other:x"]
)
def test_a_malformed_model_id_is_refused(model_id: str) -> None:
    with pytest.raises(ModelError, match="write hf-hub:user/name or local-dir:path/to/folder"):
        find_model_folder(model_id)


def test_a_local_folder_is_found_under_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_model_folder("local-dir:~/published") == tmp_path / "published"


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"There is no folder .*/nowhere\. Check"):
        Predictor.load(f"local-dir:{tmp_path / 'nowhere'}")


def test_the_model_that_was_meant_is_named(tmp_path: Path) -> None:
    run = tmp_path / "first"
    (run / "published").mkdir(parents=True)
    for folder in (run, run / "published"):
        (folder / "config.json").write_text("{}")
    meant = f"Did you mean local-dir:{re.escape(str(run / 'published'))}\\?"
    with pytest.raises(ModelError, match=f"is the folder of a run. {meant}"):
        check_local_folder(f"local-dir:{run}")
    for named in (run, run / "published"):
        with pytest.raises(ModelError, match=f"is not a model id; .* {meant}"):
            split_model_id(str(named))
    check_local_folder(f"local-dir:{run / 'published'}")
    (run / "config.json").unlink()
    with pytest.raises(ModelError, match=f"it has no config.json. {meant}"):
        check_local_folder(f"local-dir:{run}")


# With a decision.


def test_a_folder_without_decision_uses_softmax_and_warns(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = Predictor.load(f"local-dir:{folder}", engine="pytorch")
    assert "its confidence is not calibrated, and it rejects no image" in caplog.text
    [prediction] = predictor.predict([noise(0)])
    expected = softmax(predictor.logits([noise(0)]), axis=1)[0]
    assert list(prediction.probabilities.values()) == pytest.approx(expected.tolist())
    assert (prediction.verdict, prediction.candidates, prediction.novelty) == (
        "class",
        (),
        None,
    )


def test_a_decision_in_the_folder_is_applied(
    decided: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = Predictor.load(f"local-dir:{decided}", engine="pytorch")
    assert caplog.text == ""
    assert predictor.decision is not None
    gray = Image.new("RGB", (80, 60), "gray")
    known, unknown = predictor.predict([noise(0), gray])
    assert known.novelty is not None
    assert known.novelty < 1
    assert unknown.verdict == "unknown"
    tempered = predictor.logits([noise(0)]) / predictor.decision.rules.temperature
    expected = softmax(tempered, axis=1)[0].tolist()
    assert list(known.probabilities.values()) == pytest.approx(expected, abs=1e-4)


def test_one_image_is_predicted_as_in_a_batch(decided: Path) -> None:
    predictor = Predictor(decided)
    images = [noise(seed) for seed in range(3)]
    for alone, among in zip(
        (predictor.predict([image])[0] for image in images), predictor.predict(images), strict=True
    ):
        assert alone.novelty == pytest.approx(among.novelty, rel=1e-3)
        assert alone.verdict == among.verdict


@pytest.mark.parametrize(
    ("name", "says"), [("decision.json", "can't be used"), ("decision.safetensors", "is damaged")]
)
def test_a_damaged_decision_is_refused(decided: Path, name: str, says: str) -> None:
    (decided / name).write_bytes((decided / name).read_bytes()[:50])
    with pytest.raises(ModelError, match=f"{name} {says}"):
        Predictor(decided)


@pytest.mark.parametrize("name", ["decision.json", "decision.safetensors"])
def test_half_a_decision_is_refused(decided: Path, name: str) -> None:
    (decided / name).unlink()
    with pytest.raises(ModelError, match=f"has no {name}|no {name}"):
        Predictor(decided)
