"""What the network sees of images of 10 to 16 bits: the same as of their 8-bit twins."""

from __future__ import annotations

import io
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
from datasets import DatasetDict
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from space.demo import Demo
from space.inference.images.decoding import Decoder
from space.inference.images.reader import BIT_DEPTHS, ImageError, decode_image, read_image
from space.inference.images.tiff import TiffDirectory
from space.inference.predictor import ModelError, Predictor
from space.server.uploads import UploadFolder
from tests.support.bit_depth_images import picture, stored, write_set
from tests.support.published_folder import write_published_folder
from tests.unit.data.test_sources import load
from trainer.config.groups import DataConfig, DecisionConfig
from trainer.data.collection import Collection
from trainer.data.image_record import image_digest
from trainer.data.images.bit_depth import (
    BitDepth,
    Samples,
    _fewer_bits,
    find_bit_depth,
    with_bit_depth,
)
from trainer.data.images.decoding import open_image
from trainer.data.sources import collect_images
from trainer.data.splits.dataset import Images
from trainer.evaluation import ood_images
from trainer.evaluation.ood_images import images_of_folder
from trainer.inspection.inspector import inspect
from trainer.inspection.report.listing import list_findings
from trainer.inspection.report.schema import DataReport
from trainer.publishing import package
from trainer.publishing.package import ExportedModel, collect


def pixels_of_training(images: Images) -> dict[str, bytes]:
    """Return what training sees of each image, by name without suffix."""
    return {
        row["file"].partition(".")[0]: open_image(row).tobytes()
        for part in images.splits.values()
        for row in part
    }


def collected(root: Path) -> Collection:
    return collect_images(DataConfig(data_dir=(str(root),)))


def encoded(samples: np.ndarray[Any, Any], kind: str, **options: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, kind, **options)
    return buffer


def inspected(root: Path) -> tuple[DataReport, dict[str, bytes]]:
    """Return the report of an inspection and what it saw of each image, by name."""
    report, rows = inspect(collected(root), None, root.with_name("cache"))
    return report, {row["file"].partition(".")[0]: open_image(row).tobytes() for row in rows}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataReport, dict[str, bytes]]:
    """The inspection of images of 8 bits, and what training sees of them."""
    root = write_set(tmp_path_factory.mktemp("twin") / "8", 8)
    report, seen = inspected(root)
    assert seen == pixels_of_training(load(root))
    return report, seen


@pytest.mark.slow
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_training_inspection_and_model_see_the_8_bit_twin(
    twin: tuple[DataReport, dict[str, bytes]], tmp_path: Path, bits: int, suffix: str
) -> None:
    report_of_twin, seen = twin
    deep = write_set(tmp_path / "deep", bits, suffix=suffix)
    images = load(deep)
    assert pixels_of_training(images) == seen
    assert images.bit_depth == bits
    report, seen_in_inspection = inspected(deep)
    assert seen_in_inspection == seen
    assert [each.gray for each in report_of_twin.classes] == [each.gray for each in report.classes]
    assert (report_of_twin.bit_depth, report.bit_depth) == (None, bits)
    assert report.depth_mixture is None
    # A model with that depth, on one file.
    file = next(deep.rglob(f"*{suffix}"))
    name = file.relative_to(deep).with_suffix("").as_posix()
    assert read_image(file, bits).tobytes() == seen[name]


@given(
    bits=st.sampled_from(BIT_DEPTHS),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["TIFF", "PNG"]),
    compression=st.sampled_from([None, "tiff_lzw", "tiff_adobe_deflate"]),
)
def test_every_depth_gives_back_its_8_bits(
    bits: int, seed: int, kind: str, compression: str | None
) -> None:
    levels = picture(seed)
    samples = stored(levels, bits).astype(np.uint16)
    options = {"compression": compression} if kind == "TIFF" and compression else {}
    file = encoded(samples, kind, **options)
    assert decode_image(file.getvalue()).bit_depth == bits
    seen = np.asarray(read_image(file, bits))
    assert (seen == levels[:, :, None]).all()


def _color_tiff(samples: np.ndarray[Any, Any], order: str, extra: list[tuple[int, int]]) -> bytes:
    """Return an uncompressed TIFF of 16-bit color, which Pillow can't write."""
    height, width, channels = (int(side) for side in samples.shape)
    bits_at = 8 + 2 * samples.size
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, bits_at), (259, 4, 1, 1)]
    tags += [(262, 4, 1, 2), (273, 4, 1, 8), (277, 4, 1, channels), (279, 4, 1, 2 * samples.size)]
    tags += [(tag, 4, 1, value) for tag, value in extra]
    directory = struct.pack(order + "H", len(tags))
    directory += b"".join(struct.pack(order + "HHLL", *tag) for tag in tags) + bytes(4)
    start = bits_at + 2 * channels
    mark = (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, start)
    pixels = bytes(samples.astype(order + "u2"))
    return mark + pixels + struct.pack(order + "H", 16) * channels + directory


def _color_png(samples: np.ndarray[Any, Any]) -> bytes:
    """Return a PNG of 16-bit gray with opacity, RGB or RGBA, which Pillow can't write."""
    height, width, channels = samples.shape
    rows = samples.astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("kind", ["png", "tiff <", "tiff >"])
def test_color_of_more_than_8_bits_keeps_its_levels(bits: int, kind: str) -> None:
    """Pillow alone keeps the upper byte: 4 of the 12 bits."""
    levels = np.stack([picture(seed) for seed in range(3)], axis=2)
    samples = stored(levels, bits)
    content = _color_png(samples) if kind == "png" else _color_tiff(samples, kind[-1], [])
    decoded = decode_image(content)
    assert decoded.bit_depth == bits
    assert (np.asarray(decoded.to_rgb(bits)) == levels).all()


@pytest.mark.parametrize("opaque", [4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_opacity_of_12_bits_or_16(channels: int, opaque: int) -> None:
    levels = np.stack([picture(seed) for seed in range(channels)], axis=2)
    samples = stored(levels, 12)
    opacity = np.full((*levels.shape[:2], 1), opaque, np.uint16)
    opacity[0], opacity[1] = 0, opaque // 2
    decoded = decode_image(_color_png(np.concatenate([samples, opacity], axis=2)))
    assert decoded.bit_depth == 12
    seen = np.asarray(decoded.to_rgb(12))
    assert (seen[0] == 255).all()
    assert np.abs(seen[1] - (levels[1] / 2 + 255 / 2)).max() <= 2
    assert (seen[2:] == levels[2:]).all()


def test_tags_name_the_depth_of_dark_images() -> None:
    dark = np.full((9, 9), 500, np.uint16)
    assert decode_image(encoded(dark, "TIFF").getvalue()).bit_depth == 10
    tagged = encoded(dark, "TIFF", tiffinfo={281: 4095})
    assert decode_image(tagged.getvalue()).bit_depth == 12
    # The standard's default says nothing.
    default = encoded(dark, "TIFF", tiffinfo={281: 65535})
    assert decode_image(default.getvalue()).bit_depth == 10


def test_one_bright_image_sets_the_depth_of_all(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", 12)
    dark = np.full((40, 40), 800, np.uint16)
    dark[0] = range(40)
    Image.fromarray(dark).save(root / "Pitted" / "dark.tif")
    images = load(root)
    assert images.bit_depth == 12
    [row] = [row for part in images.splits.values() for row in part if "dark" in row["file"]]
    assert np.asarray(open_image(row)).max() == 800 >> 4


def test_8_bit_images_among_others_are_left_as_they_are(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", 12)
    Image.fromarray(picture(7)).save(root / "Pitted" / "plain.png")
    images = load(root)
    [row] = [row for part in images.splits.values() for row in part if "plain" in row["file"]]
    assert (np.asarray(open_image(row)) == picture(7)[:, :, None]).all()
    assert find_bit_depth(images.splits) == BitDepth(bits=12, images=12, fewer={})


@pytest.mark.slow
@pytest.mark.parametrize(("few", "many"), [(12, 16), (10, 14), (10, 12), (14, 16)])
def test_a_mixture_is_reported_with_counts(
    tmp_path: Path, few: int, many: int, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_set(tmp_path / "set", many)
    for index in range(3):
        samples = stored(picture(50 + index), few)
        Image.fromarray(samples).save(root / "Pitted" / f"few{index}.tif")
    load(root)
    says = f"12 images of {many} bits and 3 images of {few} bits"
    assert [r.levelname for r in caplog.records if says in r.message] == ["WARNING"]
    report, _ = inspect(collected(root), None, tmp_path / "cache")
    [finding] = [each for each in list_findings(report) if "bit depths" in each.title]
    assert finding.level == "problem"
    assert says in finding.text


def test_dark_images_are_no_mixture() -> None:
    bright = [Samples(60_000, 16, tagged=False)] * 20
    dark = [Samples(level, 14, tagged=False) for level in range(5_000, 16_000, 1_000)]
    black = [Samples(level, 8, tagged=False) for level in (0, 3, 60)]
    assert _fewer_bits([*bright, *dark, *black], 16) == {}
    assert _fewer_bits([*bright, Samples(900, 10, tagged=False)], 16) == {10: 1}
    assert _fewer_bits([*bright, Samples(9_000, 14, tagged=True)], 16) == {14: 1}


def test_a_sample_beyond_the_models_depth_is_refused_in_words() -> None:
    file = encoded(np.array([[0, 1024]], np.uint16), "PNG")
    with pytest.raises(ImageError, match=r"up to 1024, but the model was trained on .* 10 bits"):
        read_image(file, 10)
    assert read_image(file, 12).getpixel((1, 0)) == (64, 64, 64)


def test_the_published_folder_names_the_depth_and_timm_still_loads_it(tmp_path: Path) -> None:
    write_published_folder(tmp_path / "published", bit_depth=12)
    config = json.loads((tmp_path / "published" / "config.json").read_text())
    assert config["bit_depth"] == 12
    assert Predictor(tmp_path / "published").bit_depth == 12
    model = timm.create_model(f"local-dir:{tmp_path / 'published'}", pretrained=True)
    assert model.num_classes == len(config["label_names"])


@pytest.mark.parametrize(("value", "read"), [(None, 16), (8, 8), (11, None), ("12", None)])
def test_the_depth_of_a_published_folder_is_checked(
    tmp_path: Path, value: object, read: int | None
) -> None:
    write_published_folder(tmp_path / "published")
    file = tmp_path / "published" / "config.json"
    config = json.loads(file.read_text())
    config.pop("bit_depth")
    file.write_text(json.dumps(config | ({} if value is None else {"bit_depth": value})))
    if read is None:
        with pytest.raises(ModelError, match="bit_depth"):
            Predictor(tmp_path / "published")
    else:
        assert Predictor(tmp_path / "published").bit_depth == read


def test_caches_and_resume_depend_on_the_depth(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", 10)
    ten = load(root)
    row = ten.splits["train"][0]
    assert image_digest(row) != image_digest(row | {"bit_depth": 12})
    plain = {n: split.remove_columns("bit_depth") for n, split in ten.splits.items()}
    deeper = DatasetDict({n: with_bit_depth(split, 12) for n, split in plain.items()})
    assert replace(ten, splits=deeper).digest() != ten.digest()


def test_ood_images_are_read_with_the_depth_of_the_set(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 2048, np.uint16)).save(tmp_path / "a.png")
    [image] = images_of_folder(tmp_path, 12)
    assert image.getpixel((0, 0)) == (128, 128, 128)


def test_a_run_shows_its_model_ood_images_of_the_depth_of_the_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "wood"
    folder.mkdir()
    Image.fromarray(np.full((9, 9), 2048, np.uint16)).save(folder / "a.png")
    reference = SimpleNamespace(stages=[2], detector="a detector")
    monkeypatch.setattr(package, "fit_reference", lambda *_: reference)
    monkeypatch.setattr(package, "observe_split", lambda *_: SimpleNamespace(logits=[0]))
    monkeypatch.setattr(package, "observe_images", lambda _, images, engine: (list(images), engine))
    monkeypatch.setattr(package, "checked_stages", lambda _: [2])
    monkeypatch.setattr(ood_images, "drawn_images", lambda _: {})
    engine = SimpleNamespace(name="an engine")
    engines = {("pytorch", 2): engine}
    predictor = SimpleNamespace(
        bit_depth=12, engine_for=lambda name, stages: engines[name, *stages]
    )
    exported = cast(ExportedModel, SimpleNamespace(predictor=predictor, engine="pytorch"))
    images = cast(Images, SimpleNamespace(splits={"test": []}))
    settings = DecisionConfig(ood_dir=folder)
    outputs = cast(Any, collect(exported, images, settings, 0, torch.device("cpu")))
    [image], used = outputs.ood["folder wood"]
    assert used is engine
    assert outputs.engine == "an engine"
    assert image.getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.slow
def test_predict_answers_alike_for_the_8_bit_twin(tmp_path: Path) -> None:
    """`/predict` and the page, of a model of 12-bit images."""
    write_published_folder(tmp_path / "model", bit_depth=12)
    uploads = UploadFolder(tmp_path / "uploads")
    try:
        with Decoder(workers=1, limit_s=60) as decoder:
            model_id = f"local-dir:{tmp_path / 'model'}"
            demo = Demo(Predictor(tmp_path / "model"), model_id, uploads, decoder.read)
            answers, panels = [], []
            for bits in (8, 12):
                file = uploads.path / f"{bits}.tif"
                Image.fromarray(stored(picture(1), bits)).save(file)
                upload = {"path": str(file), "orig_name": "photo.tif"}
                answers.append(demo.predict(upload))
                panels.append(demo.show_upload(upload)[1])
            assert answers[0] == answers[1]
            assert panels[0] == panels[1]
            Image.fromarray(stored(picture(1), 16)).save(file)
            assert "the model was trained on images of 12 bits" in demo.show_upload(upload)[1]
    finally:
        uploads.remove()


def test_planes_of_more_than_8_bits_are_refused_in_words() -> None:
    """Pillow would take them for 8-bit ones."""
    samples = stored(np.stack([picture(seed) for seed in range(3)], axis=2), 12)
    with pytest.raises(ImageError, match="separate planes"):
        decode_image(_color_tiff(samples, "<", [(284, 2)]))


def test_only_tags_that_are_needed_are_read_and_only_so_far() -> None:
    many = struct.pack("<L", 8) * 2**21
    content = _color_tiff(np.zeros((2, 2, 3), np.uint16), "<", [])
    directory = TiffDirectory.read(content, 100)
    assert directory is not None
    assert directory.number("bits") == 16
    # A description, and more strips than any picture has: their values lie behind the file's end.
    for tag, kept in ((270, False), (273, True)):
        entry = struct.pack("<HHLL", tag, 4, 2**21, 14 + 12)
        hostile = b"II*\0" + struct.pack("<LH", 8, 1) + entry + bytes(4) + many
        directory = TiffDirectory.read(hostile, 100)
        assert directory is not None
        assert (tag in directory.entries) == kept
        assert directory.values == {}
