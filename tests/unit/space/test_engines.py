"""Engines: each answers as PyTorch does, or is not used."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from space.inference.core.arrays import Pixels
from space.inference.core.classifier import Engine, Observation
from space.inference.core.errors import ModelError
from space.inference.core.fingerprint import checksum
from space.inference.engines import choice, conversion, gpu, openvino_cpu
from space.inference.engines.conversion import Conversion, Converted, compared_pixels
from space.inference.engines.graph import to_onnx
from space.inference.engines.names import EngineName, Precision
from space.inference.engines.openvino_cpu import OpenVINOEngine
from space.inference.engines.openvino_library import openvino, the_core
from space.inference.model_folder import ModelFolder
from space.inference.passport import proven_precision
from space.inference.predictor import Predictor
from tests.support.published_folder import noise, write_published_folder

NAMES: dict[EngineName, str] = {
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "pytorch": "PyTorch",
}


@pytest.fixture(scope="module")
def folder(package: Path) -> Path:
    """A published folder with a decision, which no test changes."""
    return package


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


@pytest.fixture(scope="module")
def converted(folder: Path) -> tuple[bytes, list[int], Predictor]:
    """The graph in ONNX, its stages, and what computes the same with PyTorch.

    Tests that load the folder find the graph in the cache.
    """
    reference = Predictor(folder)
    size_px = reference.facts.preprocessing.size_px

    def convert() -> Conversion:
        expected = reference.engine.run(compared_pixels(size_px))
        return Conversion(to_onnx(reference.graph(reference.stages), *size_px), expected)

    sources = [folder / "model.safetensors", folder / "config.json"]
    model = Converted(sources, reference.stages, size_px)
    graph = conversion.converted(model, convert, folder.parent / "cache").graph
    return graph, reference.stages, reference


@pytest.mark.slow
def test_openvino_in_float32_computes_what_pytorch_computes(
    converted: tuple[bytes, list[int], Predictor],
) -> None:
    model, stages, reference = converted
    exact = OpenVINOEngine(model, stages, threads=1, precision="f32")
    assert exact.name.endswith("float32")
    pixels = np.concatenate([reference.prepare(image) for image in IMAGES])
    ours, theirs = exact.run(pixels), reference.engine.run(pixels)
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-4)
    for found, expected in zip(ours.statistics, theirs.statistics, strict=True):
        np.testing.assert_allclose(found[:-1], expected[:-1], atol=1e-4)
        # Of the flat image, the logarithm of deviations near zero enlarges rounding.
        np.testing.assert_allclose(found[-1], expected[-1], atol=0.02)


@pytest.mark.slow
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


class _Exact:
    """Answers as PyTorch does, in the name of a precision."""

    batches_at_once = 1

    def __init__(self, engine: Engine, precision: Precision) -> None:
        self.engine = engine
        self.name = "float32" if precision == "f32" else precision

    def run(self, pixels: Pixels) -> Observation:
        return self.engine.run(pixels)


class _Wrong:
    """Adds to the logits of an engine."""

    name = "wrong"
    batches_at_once = 1

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def run(self, pixels: Pixels) -> Observation:
        seen = self.engine.run(pixels)
        return Observation(seen.logits + 0.2 * np.abs(seen.logits).max(), seen.statistics)


@pytest.mark.parametrize("threads", [None, 1])
def test_openvino_uses_no_more_threads_than_allowed(
    converted: tuple[bytes, list[int], Predictor],
    threads: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    class Core(openvino.Core):  # type: ignore[misc]
        def compile_model(self, model: Any, device: str, settings: dict[str, Any]) -> Any:
            asked.append(settings.get("INFERENCE_NUM_THREADS"))
            return super().compile_model(model, device, settings)

    monkeypatch.setattr(openvino_cpu, "the_core", Core)
    graph, stages, _ = converted
    OpenVINOEngine(graph, stages, threads)
    assert asked == [threads]


@pytest.mark.parametrize(
    ("logits", "statistic", "difference"),
    [
        ([2.0, -4.0], 8.0, 0),
        # Relative to the largest of its kind.
        ([2.0, -3.0], 8.0, 0.25),
        ([2.0, -4.0], 9.0, 0.125),
        ([2.0, float("nan")], 8.0, float("inf")),
        ([2.0, -4.0, 0.0], 8.0, float("inf")),
    ],
)
def test_each_output_is_compared(logits: list[float], statistic: float, difference: float) -> None:
    class Fixed:
        name, batches_at_once = "fixed", 1

        def run(self, pixels: Pixels) -> Observation:
            assert pixels.shape == (1, 5, 6, 3)
            return Observation(
                np.array([logits], np.float32), [np.array([[1, statistic]], np.float32)]
            )

    expected = Observation(np.array([[2, -4]], np.float32), [np.array([[1, 8]], np.float32)])
    assert choice.largest_difference(expected, Fixed(), (5, 6)) == difference


@pytest.mark.slow
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
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    conversions = []

    def count(*arguments: object) -> bytes:
        conversions.append(arguments)
        return to_onnx(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("space.inference.engines.graph.to_onnx", count)
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
    # Cut off, as by a full disk.
    for file in (tmp_path / "cache").iterdir():
        assert file.suffix == conversion.SUFFIX
        file.write_bytes(file.read_bytes()[:-7])
    with caplog.at_level(logging.WARNING):
        Predictor(folder, engine="openvino")
    assert "is damaged, and replaced" in caplog.text
    assert len(conversions) == 3


@pytest.mark.slow
def test_a_converted_model_builds_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Predictor(folder, engine="openvino").predict(IMAGES)

    def build(*_: object) -> None:
        raise AssertionError("The network was built.")

    monkeypatch.setattr("space.inference.networks.network.load_network", build)
    again = Predictor(folder, engine="openvino")
    assert again.predict(IMAGES) == expected
    with pytest.raises(AssertionError, match="was built"):
        _ = again.model


@pytest.mark.slow
def test_a_converted_model_is_compared_with_what_pytorch_computed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Predictor(folder, engine="openvino")
    read = conversion._read

    def other(content: bytes, stages: Sequence[int]) -> conversion.Conversion:
        found = read(content, stages)
        logits = found.expected.logits + 0.1 * np.abs(found.expected.logits).max()
        return replace(found, expected=Observation(logits, found.expected.statistics))

    monkeypatch.setattr(conversion, "_read", other)
    with pytest.raises(ModelError, match="its outputs differ from PyTorch's by 11"):
        Predictor(folder, engine="openvino")


def test_the_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    for number in range(conversion.MOST_FILES + 2):
        conversion._store(bytes([number]), tmp_path / f"{number}{conversion.SUFFIX}")
    kept = sorted(file.read_bytes()[0] for file in tmp_path.iterdir())
    assert kept == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("limit", "threads"), [("3", 3), ("2,4", 2), ("", None), ("0", None), ("many", None)]
)
def test_the_user_limits_the_threads(
    limit: str, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert choice.thread_limit() == threads


def test_a_gpu_is_looked_for_only_behind_a_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(gpu, "AMD_DEVICE", tmp_path / "none")
    monkeypatch.setattr(gpu, "DRIVERS", ("libnone.so.1",))
    assert not gpu.has_gpu()
    monkeypatch.setattr(gpu, "AMD_DEVICE", tmp_path)
    assert gpu.has_gpu()


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 4, 7, 16, 23])
def test_any_number_of_images_is_answered_in_fixed_batches(
    converted: tuple[bytes, list[int], Predictor], count: int
) -> None:
    model, stages, reference = converted
    engine = OpenVINOEngine(model, stages, threads=1)
    pixels = np.concatenate([reference.prepare(noise(number)) for number in range(count)])
    ours, theirs = engine.run(pixels), reference.engine.run(pixels)
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-4)
    for found, expected in zip(ours.statistics, theirs.statistics, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)
    # One for try-outs and rests; 4 only once there are as many.
    assert sorted(engine._idle) == ([1] if count < 4 else [1, 4])


@pytest.mark.slow
@pytest.mark.parametrize(("images", "at_once"), [(1, 2), (4, 1), (8, 1)])
def test_images_are_answered_at_once_as_one_after_another(
    images: int, at_once: int, converted: tuple[bytes, list[int], Predictor]
) -> None:
    model, stages, reference = converted
    engine = OpenVINOEngine(model, stages, at_once=at_once)
    prepared = [reference.prepare(noise(number)) for number in range(12 * images)]
    pixels = [np.concatenate(prepared[at::12]) for at in range(12)]
    alone = [engine.run(each).logits for each in pixels]
    meeting = threading.Barrier(2, timeout=30)
    infer = openvino_cpu._Network.infer

    def together(network: openvino_cpu._Network, some: Pixels) -> list[list[Any]]:
        meeting.wait()
        return infer(network, some)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as pool:
        patch.setattr(openvino_cpu._Network, "infer", together)
        found = [seen.logits for seen in pool.map(engine.run, pixels)]
    np.testing.assert_array_equal(found, alone)


PASSED = {"format": "openvino", "precision": "bf16", "refused": None}


@pytest.mark.parametrize(
    ("passports", "precision"),
    [
        ([PASSED], "bf16"),
        ([{"format": "safetensors", "precision": "f32", "refused": None}, PASSED], "bf16"),
        ([PASSED | {"precision": "mixed"}], "mixed"),
        ([PASSED | {"precision": "f32"}], "f32"),
        # Written by an earlier version.
        ([{"format": "openvino", "refused": None}], "f32"),
        ([PASSED | {"refused": "it decides 3 of 100 test images differently"}], "f32"),
        # int8 is another graph.
        ([PASSED | {"format": "int8"}], "f32"),
        ([], "f32"),
    ],
)
def test_only_a_passport_of_the_same_weights_proves_bf16(
    folder: Path,
    tmp_path: Path,
    passports: list[dict[str, object]],
    precision: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.copytree(folder, tmp_path / "own")
    own = tmp_path / "own" / "report.json"
    digest = checksum(folder / "model.safetensors")
    facts = {"exports": {"formats": passports}, "export": {"files": {"model.safetensors": digest}}}
    own.write_text(json.dumps(facts))
    assert proven_precision(ModelFolder(tmp_path / "own")) == precision
    assert not caplog.records
    facts["export"] = {"files": {"model.safetensors": "0" * 64}}
    own.write_text(json.dumps(facts))
    assert proven_precision(ModelFolder(tmp_path / "own")) == "f32"
    assert ("of other weights" in caplog.text) == (precision != "f32")
    own.write_text("{")
    assert proven_precision(ModelFolder(tmp_path / "own")) == "f32"
    assert "The network runs in float32: " in caplog.text
    own.unlink()
    assert proven_precision(ModelFolder(tmp_path / "own")) == "f32"


@pytest.mark.slow
@pytest.mark.parametrize("machine", [True, False])
def test_a_loaded_model_uses_bf16_where_it_is_proven(
    folder: Path, machine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("space.inference.engines.openvino_cpu.has_bf16", lambda: machine)
    asked: list[object] = []
    compile_model = openvino.Core.compile_model

    def note(core: Any, model: Any, device: str, settings: dict[str, object]) -> object:
        asked.append(settings["INFERENCE_PRECISION_HINT"])
        # Not every machine that tests has it.
        return compile_model(core, model, device, settings | {"INFERENCE_PRECISION_HINT": "f32"})

    monkeypatch.setattr(openvino.Core, "compile_model", note)
    assert Predictor(folder, engine="openvino").engine.name.endswith(", float32")
    monkeypatch.setattr("space.inference.predictor.proven_precision", lambda _: "bf16")
    name = Predictor(folder, engine="openvino").engine.name
    assert name.endswith(", bfloat16" if machine else ", float32")
    assert asked == ["f32", "bf16" if machine else "f32"]


def test_bf16_that_is_far_off_gives_way_to_float32(
    folder: Path,
    converted: tuple[bytes, list[int], Predictor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong_in_bf16(
        graph: bytes, stages: Sequence[int], threads: int | None, precision: Precision, at_once: int
    ) -> Engine:
        engine = _Exact(converted[2].engine, precision)
        return _Wrong(engine) if precision == "bf16" else engine

    monkeypatch.setattr(choice, "BUILDERS", {"openvino": wrong_in_bf16})
    monkeypatch.setattr("space.inference.predictor.proven_precision", lambda _: "bf16")
    assert Predictor(folder, engine="openvino").engine.name.endswith("float32")


def test_mixed_precision_leaves_the_first_quarter_of_the_layers_in_float32(
    converted: tuple[bytes, list[int], Predictor],
) -> None:
    graph, stages, reference = converted
    model = the_core().read_model(graph)
    model.reshape([1, *list(model.input(0).partial_shape)[1:]])
    marked = openvino_cpu._with_first_layers_in_float(model)
    ops = marked.get_ordered_ops()
    # OpenVINO's name of the mark depends on its version.
    kinds = [set(each.get_rt_info()) for each in ops if each.get_type_name() in openvino_cpu.LAYERS]
    first = round(openvino_cpu.FLOAT_SHARE * len(kinds))
    assert 0 < first < len(kinds)
    assert set.intersection(*kinds[:first]) - set.union(*kinds[first:])
    # Padding that is not part of a convolution would take its mark away.
    assert "Pad" not in {each.get_type_name() for each in ops}
    pixels = reference.prepare(IMAGES[0])
    found = OpenVINOEngine(marked, stages, threads=1).run(pixels)
    np.testing.assert_allclose(found.logits, reference.engine.run(pixels).logits, atol=1e-4)


def test_padding_moves_into_the_convolution_that_is_marked() -> None:
    """As in networks that pad as TensorFlow does; else compiling makes a layer without the mark."""
    nodes = openvino.opset13
    shown = nodes.parameter([1, 3, 9, 9], np.float32)
    edges = [nodes.constant(np.array(each)) for each in ([0, 0, 0, 0], [0, 0, 1, 1])]
    padded = nodes.pad(shown, *edges, "constant", nodes.constant(np.float32(0)))
    weights = nodes.constant(np.ones((4, 3, 3, 3), np.float32))
    convolved = nodes.convolution(padded, weights, [2, 2], [0, 0], [0, 0], [1, 1], "explicit")
    marked = openvino_cpu._with_first_layers_in_float(openvino.Model([convolved], [shown]))
    found = {each.get_type_name(): set(each.get_rt_info()) for each in marked.get_ordered_ops()}
    assert "Pad" not in found
    assert found["Convolution"] - found["Parameter"]


def test_mixed_precision_is_closer_to_float32_than_bf16(
    converted: tuple[bytes, list[int], Predictor],
) -> None:
    if not openvino_cpu.has_bf16():
        pytest.skip("This processor has no bf16.")
    graph, stages, reference = converted
    pixels = np.concatenate([reference.prepare(image) for image in IMAGES])
    exact = OpenVINOEngine(graph, stages, 1, "f32").run(pixels).statistics[0]
    bf16, mixed = (
        np.abs(OpenVINOEngine(graph, stages, 1, each).run(pixels).statistics[0] - exact).mean()
        for each in ("bf16", "mixed")
    )
    assert 0 < mixed < bf16


def test_a_network_that_cannot_be_compiled_in_mixed_precision_runs_in_float32(
    folder: Path,
    converted: tuple[bytes, list[int], Predictor],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def uncompiled(
        graph: bytes, stages: Sequence[int], threads: int | None, precision: Precision, at_once: int
    ) -> Engine:
        if precision == "mixed":
            raise RuntimeError("object is not initialized")
        return _Exact(converted[2].engine, precision)

    monkeypatch.setattr(choice, "BUILDERS", {"openvino": uncompiled})
    monkeypatch.setattr("space.inference.predictor.proven_precision", lambda _: "mixed")
    assert Predictor(folder, engine="openvino").engine.name.endswith("float32")
    assert "openvino runs in float32: in mixed, object is not initialized" in caplog.text


def test_a_cache_that_cannot_be_written_costs_a_warning(
    folder: Path,
    converted: tuple[bytes, list[int], Predictor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("space.inference.engines.graph.to_onnx", lambda *_: converted[0])
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(conversion, "cache_folder", lambda: tmp_path / "file" / "cache")
    with caplog.at_level(logging.WARNING):
        assert NAMES["openvino"] in Predictor(folder, engine="openvino").engine.name
    assert "The converted model can't be kept in" in caplog.text
