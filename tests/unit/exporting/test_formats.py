"""Formats: what a written file says of its source, and what its self-test expects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from model_card.schema.checksums import file_checksum
from space.inference.core.classifier import Engine, Observation
from space.inference.exported.model_file import ExportedClassifier
from space.inference.exported.self_test import SelfTestError
from space.inference.predictor import Predictor
from tests.support.published_folder import write_decision, write_published_folder
from trainer.errors import ConfigError
from trainer.exporting import formats
from trainer.exporting.formats import FORMATS, Calibration, Source

pytestmark = pytest.mark.slow
NOTHING = Calibration([], [])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("formats") / "published"
    write_published_folder(folder)
    write_decision(folder)
    return Source(Predictor(folder), "hf-hub:mill/strip")


def test_a_file_names_its_source_and_its_precision(source: Source, tmp_path: Path) -> None:
    form = FORMATS["openvino"]
    written = form.write(form.build(source, NOTHING), source, tmp_path, "mixed")
    for found in (written, ExportedClassifier(tmp_path / form.file)):
        assert found.metadata.precision == "mixed"
        model = found.metadata.model
        assert (model.name, model.architecture) == ("hf-hub:mill/strip", "test_convnext")
        weights = source.predictor.folder / "model.safetensors"
        assert model.weights_sha256 == file_checksum(weights)


class Doubled:
    """An engine that computes twice the outputs of another."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.name = engine, "Doubled"

    def run(self, pixels: Any) -> Observation:
        seen = self._engine.run(pixels)
        return Observation(2 * seen.logits, [2 * each for each in seen.statistics])


def test_the_self_test_expects_what_the_engine_of_the_format_computes(
    source: Source, tmp_path: Path
) -> None:
    graph = source.graph()
    own = replace(
        FORMATS["onnx"],
        engine=lambda _, source: cast(Engine, Doubled(source.predictor.engine)),
    )
    # int8 computes other outputs by intent; here, the file does not compute those of its engine.
    with pytest.raises(SelfTestError, match=r"differs by 0\.5,"):
        own.write(graph, source, tmp_path)
    FORMATS["onnx"].write(graph, source, tmp_path)


def test_a_network_beyond_the_format_is_refused(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "MAX_WEIGHTS_BYTES", 10)
    with pytest.raises(ConfigError, match="larger than 2 GB"):
        source.graph()
