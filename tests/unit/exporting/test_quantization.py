"""int8: which layers are quantized, and that more stay in float where decisions change."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from PIL import Image

from space.inference.engines.openvino_library import the_core
from space.inference.predictor import Predictor
from tests.support.published_folder import noise, write_decision, write_published_folder
from trainer.exporting.formats import Calibration, Source

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quantization() -> Any:
    """The module, imported for these tests alone: NNCF takes a while, and they are all slow."""
    return importlib.import_module("trainer.exporting.quantization")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("int8") / "published"
    write_published_folder(folder)
    write_decision(folder)
    return Predictor(folder)


def quantized_layers(model: Any) -> list[str]:
    """Return the layers whose weights are quantized, in order."""
    return [
        each.get_friendly_name()
        for each in model.get_ordered_ops()
        if each.get_type_name() in ("Convolution", "MatMul", "GroupConvolution")
        and any(
            each.input_value(1).get_node().get_type_name() == kind
            for kind in ("FakeQuantize", "Multiply", "Convert")
        )
    ]


def layers(model: Any, kinds: tuple[str, ...]) -> list[str]:
    ordered = model.get_ordered_ops()
    return [each.get_friendly_name() for each in ordered if each.get_type_name() in kinds]


def test_more_layers_stay_in_float_until_the_decisions_are_the_same(
    quantization: Any,
    predictor: Predictor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    graph = Source(predictor, "m").graph()
    images = [noise(number) for number in range(4)]
    calibration = Calibration(images, [noise(number) for number in range(4, 8)])
    tried: list[list[str]] = []
    made: dict[tuple[str, ...], Any] = {}
    quantize = quantization.nncf.quantize

    def quantize_once(model: Any, *data: Any, ignored_scope: Any, **options: Any) -> Any:
        key = tuple(ignored_scope.names)
        if key not in made:
            made[key] = quantize(model, *data, ignored_scope=ignored_scope, **options)
        return made[key]

    monkeypatch.setattr(quantization.nncf, "quantize", quantize_once)

    def until(good: int) -> list[str]:
        tried.clear()

        def changed(model: Any, *_: object) -> int:
            tried.append(quantized_layers(model))
            return 0 if len(tried) == good else 1

        monkeypatch.setattr(quantization, "_changed", changed)
        return quantized_layers(quantization.quantized(graph, predictor, calibration))

    last = until(good=0)
    # Never good enough: all were tried, and the passport will refuse the last one.
    assert len(tried) == 3
    assert last == tried[-1]
    assert len(tried[0]) > len(tried[1]) > len(tried[2]) > 0
    model = the_core().read_model(graph)
    dense = layers(model, quantization.LAYERS)
    assert not {dense[0], dense[-1], *layers(model, ("GroupConvolution",))} & {*tried[0]}
    assert until(good=2) == tried[1]
    assert len(tried) == 2
    assert capsys.readouterr().out == ""


def test_changed_decisions_are_counted(quantization: Any, predictor: Predictor) -> None:
    model = the_core().read_model(Source(predictor, "m").graph())
    inputs = [predictor.prepare(noise(number)) for number in range(3)]
    expected = predictor.predict_from(predictor.observe_prepared(inputs))
    assert quantization._changed(model, predictor, inputs, expected) == 0
    # Unknown surfaces, in place of two of them.
    gray = Image.new("RGB", (70, 50), "gray")
    expected[:2] = predictor.predict([gray, gray])
    assert quantization._changed(model, predictor, inputs, expected) == 2
