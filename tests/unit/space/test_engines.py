"""Engines: each answers as PyTorch does, or is not used."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from space.inference.core.arrays import Pixels
from space.inference.core.classifier import Engine, Observation
from space.inference.core.errors import ModelError
from space.inference.engines import choice, conversion
from space.inference.engines.graph import to_onnx
from space.inference.engines.names import EngineName
from space.inference.engines.openvino_cpu import OpenVINOEngine
from space.inference.predictor import Predictor
from tests.support.published_folder import noise, write_decision, write_published_folder

NAMES: dict[EngineName, str] = {
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "pytorch": "PyTorch",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder with a decision."""
    folder = tmp_path_factory.mktemp("engines") / "published"
    write_published_folder(folder)
    write_decision(folder)
    return folder


@pytest.fixture(autouse=True)
def cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of this file's tests: one conversion serves them all."""
    cache = folder.parent / "cache"
    monkeypatch.setattr(conversion, "cache_folder", lambda: cache)
    return cache


IMAGES = [*map(noise, range(6)), Image.new("RGB", (70, 50), "gray")]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_an_engine_decides_as_pytorch(folder: Path, engine: EngineName) -> None:
    reference = Predictor(folder)
    fast = Predictor(folder, engine=engine)
    assert NAMES[engine] in fast.engine.name
    ours, theirs = fast.predict(IMAGES), reference.predict(IMAGES)
    assert {each.verdict for each in theirs} >= {"unknown", "class"}
    assert [each.verdict for each in ours] == [each.verdict for each in theirs]
    assert [each.label for each in ours] == [each.label for each in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-3)
    # One by one, and with the statistics of other stages, which PyTorch computes.
    [alone] = fast.predict(IMAGES[2:3])
    assert alone.novelty == pytest.approx(ours[2].novelty, rel=1e-3)
    [exact] = fast.observe(IMAGES[:1], [0]).statistics
    np.testing.assert_array_equal(exact, reference.observe(IMAGES[:1], [0]).statistics[0])


def test_openvino_in_float32_computes_what_pytorch_computes(folder: Path) -> None:
    reference = Predictor(folder)
    graph = reference._graph(reference.facts.preprocessing, reference.stages)
    model = to_onnx(graph, *reference.facts.preprocessing.size_px)
    exact = OpenVINOEngine(model, reference.stages, threads=1, precision="f32")
    assert exact.name.endswith("float32")
    pixels = np.concatenate([reference.prepare(image) for image in IMAGES])
    ours, theirs = exact.run(pixels), reference.engine.run(pixels)
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-4)
    for found, expected in zip(ours.statistics, theirs.statistics, strict=True):
        np.testing.assert_allclose(found[:-1], expected[:-1], atol=1e-4)
        # Of the flat image, the logarithm of deviations near zero enlarges rounding.
        np.testing.assert_allclose(found[-1], expected[-1], atol=0.02)


def test_calls_from_several_threads_get_their_own_outputs(folder: Path) -> None:
    predictor = Predictor(folder, engine="openvino")
    expected = [predictor.logits([image])[0] for image in IMAGES]
    found: dict[int, np.ndarray] = {}

    def ask(number: int) -> None:
        for _ in range(5):
            found[number] = predictor.logits([IMAGES[number]])[0]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(IMAGES))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, logits in enumerate(expected):
        np.testing.assert_allclose(found[number], logits, atol=1e-3)


@pytest.mark.slow
def test_auto_takes_the_engine_of_the_processor(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for machine, name in (("x86_64", "openvino"), ("AMD64", "openvino"), ("arm64", "onnxruntime")):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        engine: EngineName = "openvino" if name == "openvino" else "onnxruntime"
        assert NAMES[engine] in Predictor(folder, engine="auto").engine.name
    assert NAMES["pytorch"] in Predictor(folder).engine.name


class _Wrong:
    """Adds to the logits of an engine."""

    name = "wrong"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def run(self, pixels: Pixels) -> Observation:
        seen = self.engine.run(pixels)
        return Observation(seen.logits + 0.2 * np.abs(seen.logits).max(), seen.statistics)


def test_an_engine_that_computes_something_else_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right = choice.BUILDERS["openvino"]
    wrong = {"openvino": lambda *arguments: _Wrong(right(*arguments))}
    monkeypatch.setattr(choice, "BUILDERS", wrong)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert NAMES["pytorch"] in Predictor(folder, engine="auto").engine.name
    assert "openvino is not used: its outputs differ from PyTorch's by 2" in caplog.text
    with pytest.raises(ModelError, match="The engine openvino can't run this model: its outputs"):
        Predictor(folder, engine="openvino")


def test_an_engine_that_is_not_installed_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install onnx onnxruntime"):
        Predictor(folder, engine="onnxruntime")
    with caplog.at_level(logging.WARNING):
        assert NAMES["pytorch"] in Predictor(folder, engine="auto").engine.name
    assert "is not used: it is not installed: pip install onnx" in caplog.text


def test_an_engine_of_the_processor_gets_the_network_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    predictor = Predictor.load(f"local-dir:{folder}", engine="openvino")
    assert predictor.device.type == "cpu"
    assert NAMES["openvino"] in predictor.engine.name


@pytest.mark.slow
def test_a_model_is_converted_once(
    folder: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversions = []

    def count(*arguments: object) -> bytes:
        conversions.append(arguments)
        return to_onnx(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(conversion, "to_onnx", count)
    monkeypatch.setattr(conversion, "cache_folder", lambda: tmp_path / "cache")
    for _ in range(2):
        Predictor(folder, engine="openvino")
    assert len(conversions) == 1
    # Other weights of the same network.
    other = tmp_path / "other"
    write_published_folder(other, seed=3)
    logits = Predictor(other, engine="openvino").logits(IMAGES[:1])
    assert len(conversions) == 2
    np.testing.assert_allclose(logits, Predictor(other).logits(IMAGES[:1]), atol=1e-4)
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_the_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    for number in range(conversion.MOST_FILES + 2):
        conversion._store(bytes([number]), tmp_path / f"{number}.onnx")
    kept = sorted(file.read_bytes()[0] for file in tmp_path.iterdir())
    assert kept == [2, 3, 4, 5]


def test_a_cache_that_cannot_be_written_costs_a_warning(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(conversion, "cache_folder", lambda: tmp_path / "file" / "cache")
    with caplog.at_level(logging.WARNING):
        assert NAMES["openvino"] in Predictor(folder, engine="openvino").engine.name
    assert "The converted model can't be kept in" in caplog.text
