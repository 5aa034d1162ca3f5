"""Exported files: the same decisions from the file alone, and clear words for a bad one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from space.inference.core.classifier import Observation
from space.inference.core.errors import ModelError
from space.inference.engines.onnx_runtime import OnnxRuntimeEngine
from space.inference.engines.openvino_cpu import OpenVINOEngine
from space.inference.exported import onnx_file, openvino_file
from space.inference.exported.metadata import NAMES, arrays_from_json, arrays_to_json, read_metadata
from space.inference.exported.model_file import ExportedClassifier
from space.inference.exported.self_test import SelfTest, drawn_images
from space.inference.multilabel.thresholds import Thresholds
from space.inference.predictor import Predictor
from tests.support.published_folder import noise, write_decision, write_published_folder
from trainer.config.option_types import FormatName
from trainer.exporting.formats import FORMATS, Calibration, Source

NOTHING = Calibration([], [])
Change = Callable[[dict[str, str]], None]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("model") / "published"
    write_published_folder(folder, tile=True, bit_depth=12)
    write_decision(folder)
    return Predictor(folder)


@pytest.fixture(scope="module")
def exported(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the model in ONNX and OpenVINO."""
    folder = tmp_path_factory.mktemp("exported")
    source = Source(predictor, "local-dir:model")
    names: tuple[FormatName, ...] = ("onnx", "openvino")
    for name in names:
        FORMATS[name].write(FORMATS[name].build(source, NOTHING), source, folder)
    return folder


def images() -> list[Image.Image]:
    """Return known and unknown surfaces, one long enough to be cut into tiles."""
    long = noise(3).resize((240, 80))
    return [noise(1), Image.new("RGB", (50, 70), "gray"), long, *drawn_images()]


def entries(file: Path) -> dict[str, str]:
    return onnx_file.read_entries(file.read_bytes(), "model")


def rewritten(file: Path, change: Change, target: Path) -> Path:
    """Write a copy with changed entries and a checksum that fits, as an attacker would."""
    found = entries(file)
    change(found)
    graph = onnx.load(file)
    del graph.metadata_props[:]
    target.write_bytes(onnx_file.with_entries(graph.SerializeToString(), found))
    return target


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_the_file_alone_decides_as_the_weights_do(
    predictor: Predictor, exported: Path, tmp_path: Path, name: FormatName
) -> None:
    for file in FORMATS[name].files:
        (tmp_path / Path(file).name).write_bytes((exported / file).read_bytes())
    classifier = ExportedClassifier(tmp_path / Path(FORMATS[name].file).name, "f32")
    assert (classifier.labels, classifier.bit_depth) == (predictor.labels, 12)
    assert classifier.facts.tile
    ours, theirs = classifier.predict(images()), predictor.predict(images())
    assert {prediction.verdict for prediction in theirs} >= {"unknown"}
    for mine, weights in zip(ours, theirs, strict=True):
        assert (mine.label, mine.verdict) == (weights.label, weights.verdict)
        assert mine.candidates == weights.candidates
        assert mine.novelty == pytest.approx(weights.novelty, rel=1e-3)
        assert list(mine.probabilities.values()) == pytest.approx(
            list(weights.probabilities.values()), abs=1e-4
        )


@pytest.mark.slow
def test_a_file_runs_in_float32_where_its_own_precision_cannot_be_compiled(
    exported: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def engine(model: object, stages: list[int], precision: str) -> object:
        if precision == "mixed":
            raise RuntimeError("object is not initialized")
        return OpenVINOEngine(model, stages, precision="f32")

    monkeypatch.setattr(
        "space.inference.exported.model_file.read_metadata",
        lambda *given: replace(read_metadata(*given), precision="mixed"),
    )
    monkeypatch.setattr("space.inference.engines.openvino_cpu.OpenVINOEngine", engine)
    file = exported / FORMATS["openvino"].file
    assert ExportedClassifier(file).engine.name.endswith("float32")
    assert f"{file} runs in float32: object is not initialized" in caplog.text
    # What is measured for a passport must be what was asked for.
    with pytest.raises(ModelError, match="object is not initialized"):
        ExportedClassifier(file, "mixed")


@pytest.mark.slow
def test_other_programs_read_the_file(exported: Path) -> None:
    model = onnx.load(exported / FORMATS["onnx"].file)
    onnx.checker.check_model(model)
    found = {prop.key: prop.value for prop in model.metadata_props}
    assert {f"strip_defects.{name}" for name in NAMES} < found.keys()
    assert json.loads(found["strip_defects.bit_depth"]) == 12
    assert json.loads(found["strip_defects.rules"])["coverage"] == 0.9


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_a_truncated_file_is_refused(
    exported: Path, tmp_path: Path, name: FormatName, share: float
) -> None:
    paths = [tmp_path / Path(file).name for file in FORMATS[name].files]
    for file, path in zip(FORMATS[name].files, paths, strict=True):
        path.write_bytes((exported / file).read_bytes())
    for path in paths:
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(ModelError, match=r"cut off|is damaged"):
            ExportedClassifier(paths[0])
        path.write_bytes(content)


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_each_flipped_bit_is_found(exported: Path, place: float, bit: int) -> None:
    content = bytearray((exported / FORMATS["onnx"].file).read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    with pytest.raises(ModelError, match=r"cut off|is damaged"):
        onnx_file.read_entries(bytes(content), "model.onnx")
    text = bytearray((exported / FORMATS["openvino"].file).read_bytes())
    weights = (exported / FORMATS["openvino"].files[1]).read_bytes()
    text[int(place * len(text))] ^= 1 << bit
    with pytest.raises(ModelError, match=r"cut off|is damaged"):
        openvino_file.read_model(bytes(text), weights, "model.xml")


def with_value(name: str, value: Any) -> Change:
    """Return a change of one entry; a function changes the value that is there."""

    def change(found: dict[str, str]) -> None:
        old = json.loads(found[name])
        found[name] = json.dumps(value(old) if callable(value) else value)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.clear(), "no description of a classifier"),
        (lambda found: found.pop("rules"), "lacks the entry rules"),
        (lambda found: found.update(extra="1"), "unknown entry extra"),
        (with_value("format_version", 2), "version '2' of the format"),
        (lambda found: found.update(labels="[1"), "labels is wrong"),
        (lambda found: found.update(tile="NaN"), "tile is wrong"),
        (with_value("labels", ["a", "a"]), "labels is wrong: it is no list of different names"),
        (with_value("labels", list("abcdef")), "rules of other classes"),
        (with_value("rules", lambda r: r | {"temperature": 0}), "temperature must lie between"),
        (with_value("rules", lambda r: r | {"more": 1}), "unknown more"),
        (with_value("bit_depth", 9), "bit_depth is wrong"),
        (with_value("bit_depth", True), "bit_depth is wrong"),
        (with_value("preprocessing", lambda p: p | {"size_px": [9**9, 64]}), "size_px is out of"),
        (with_value("preprocessing", lambda p: p | {"crop_mode": "x"}), "crop_mode is out of"),
        (with_value("detector", None), "other stages than its detector"),
        (with_value("detector", lambda d: d | {"x": d["stage0.centre"]}), "detector is wrong"),
        (with_value("precision", "fp16"), "precision is wrong"),
        (with_value("stages", [0]), "other stages than its detector"),
        (with_value("self_test", None), "self_test is wrong"),
        (with_value("self_test", lambda t: t | {"tolerance": 9.0}), "tolerance must lie"),
        (with_value("self_test", lambda t: t | {"images": ["x"]}), "self_test is wrong"),
        (with_value("self_test", lambda t: t | {"logits": [[1e99] * 6] * 3}), "self_test is wrong"),
        (lambda found: found.update(model="[" * 10**5), "model is wrong"),
        (with_value("model", lambda m: m | {"name": 3}), "model is wrong: a field is no text"),
        (
            lambda found: found.update(detector="null", stages="[]"),
            "limit of novelty, but no detector",
        ),
    ],
)
def test_tampered_entries_are_refused(
    exported: Path, tmp_path: Path, change: Change, words: str
) -> None:
    file = rewritten(exported / FORMATS["onnx"].file, change, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=words):
        ExportedClassifier(file)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("metadata.MAX_TEXT", "is wrong: it is longer than"),
        ("self_test.MAX_SIDE_PX", "self_test is wrong: an image is too large"),
        ("self_test.MAX_PNG_BYTES", "self_test is wrong: an image is too large"),
        ("self_test.MOST_IMAGES", "self_test is wrong: it must hold 1 to"),
        ("model_file.MAX_FILE_BYTES", "is larger than"),
    ],
)
def test_sizes_are_bounded(
    exported: Path, monkeypatch: pytest.MonkeyPatch, limit: str, words: str
) -> None:
    monkeypatch.setattr(f"space.inference.exported.{limit}", 1)
    with pytest.raises(ModelError, match=words):
        ExportedClassifier(exported / FORMATS["onnx"].file)


def test_several_defects_are_named_by_a_file_whose_rules_do(exported: Path) -> None:
    found = entries(exported / FORMATS["onnx"].file)
    assert not read_metadata(found, "model").facts.multi_label
    rules = json.loads(found["rules"])
    classes = len(rules["labels"])
    several = Thresholds([0.5] * classes, [0.25] * classes, None)
    rules["thresholds"] = asdict(several)
    found["rules"] = json.dumps(rules)
    assert read_metadata(found, "model").facts.multi_label


def test_class_names_that_do_not_fit_the_network_are_refused(
    exported: Path, tmp_path: Path
) -> None:
    def change(found: dict[str, str]) -> None:
        labels = [*json.loads(found["labels"]), "seventh"]
        found["labels"] = json.dumps(labels)
        found["rules"] = json.dumps(json.loads(found["rules"]) | {"labels": labels})

    file = rewritten(exported / FORMATS["onnx"].file, change, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"do not match|another number of outputs"):
        ExportedClassifier(file)


def test_weights_in_another_file_are_refused(exported: Path, tmp_path: Path) -> None:
    model = onnx.load(exported / FORMATS["onnx"].file)
    found = entries(exported / FORMATS["onnx"].file)
    del model.metadata_props[:]
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location="../../secret", offset=0)
    tensor.ClearField("raw_data")
    file = tmp_path / "model.onnx"
    file.write_bytes(onnx_file.with_entries(model.SerializeToString(), found))
    with pytest.raises(ModelError, match="refers to weights in another file"):
        ExportedClassifier(file)


def in_a_node(model: onnx.ModelProto) -> Any:
    return model.graph.node.add().attribute.add().t


def in_a_branch(model: onnx.ModelProto) -> Any:
    return model.graph.node.add().attribute.add().graphs.add().initializer.add()


def in_a_function(model: onnx.ModelProto) -> Any:
    return model.functions.add().node.add().attribute.add().tensors.add()


def in_a_sparse_tensor(model: onnx.ModelProto) -> Any:
    return model.graph.sparse_initializer.add().values


def in_sparse_attributes(model: onnx.ModelProto) -> Any:
    return model.graph.node.add().attribute.add().sparse_tensors.add().indices


def in_training(model: onnx.ModelProto) -> Any:
    return model.training_info.add().algorithm.initializer.add()


@pytest.mark.parametrize(
    "place",
    [
        *(in_a_node, in_a_branch, in_a_function),
        *(in_a_sparse_tensor, in_sparse_attributes, in_training),
    ],
)
def test_weights_in_another_file_are_found_everywhere(
    place: Callable[[onnx.ModelProto], Any],
) -> None:
    model = onnx.ModelProto()
    tensor = place(model)
    found = {"a": "1"}
    content = onnx_file.with_entries(model.SerializeToString(), found)
    assert onnx_file.read_entries(content, "model") == found
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    content = onnx_file.with_entries(model.SerializeToString(), found)
    with pytest.raises(ModelError, match="refers to weights in another file"):
        onnx_file.read_entries(content, "model")


def test_weights_of_another_model_are_refused(exported: Path, tmp_path: Path) -> None:
    xml, weights = FORMATS["openvino"].files
    (tmp_path / "model.xml").write_bytes((exported / xml).read_bytes())
    changed = bytearray((exported / weights).read_bytes())
    changed[100:200] = bytes(100)
    (tmp_path / "model.bin").write_bytes(changed)
    with pytest.raises(ModelError, match=r"^\S+model\.bin is damaged"):
        ExportedClassifier(tmp_path / "model.xml")
    (tmp_path / "model.bin").unlink()
    with pytest.raises(ModelError, match=r"no file .*model\.bin"):
        ExportedClassifier(tmp_path / "model.xml")


@pytest.mark.parametrize("output", [0, 1])
def test_a_machine_that_computes_wrongly_is_refused(
    exported: Path, monkeypatch: pytest.MonkeyPatch, output: int
) -> None:
    run = OnnxRuntimeEngine.run

    def wrong(engine: OnnxRuntimeEngine, pixels: Any) -> Observation:
        seen = run(engine, pixels)
        outputs = [seen.logits, *seen.statistics]
        outputs[output] = 1.1 * outputs[output]
        return Observation(outputs[0], outputs[1:])

    monkeypatch.setattr(OnnxRuntimeEngine, "run", wrong)
    with pytest.raises(ModelError, match=r"computes wrong outputs on this machine \(ONNX Runtime"):
        ExportedClassifier(exported / FORMATS["onnx"].file)


@pytest.mark.parametrize(
    "change",
    [
        lambda seen: Observation(np.nan * seen.logits, seen.statistics),
        lambda seen: Observation(seen.logits[:, :-1], seen.statistics),
    ],
    ids=["no number", "another shape"],
)
def test_outputs_that_cannot_be_compared_are_refused(
    predictor: Predictor, change: Callable[[Observation], Observation]
) -> None:
    seen = predictor.observe(drawn_images())
    test = SelfTest(drawn_images(), seen)
    classifier: Any = SimpleNamespace(
        observe=lambda images: change(seen), facts=predictor.facts, engine=predictor.engine
    )
    with pytest.raises(ModelError, match=r"differs by (nan|inf), at most 0\.05"):
        test.check(classifier)


def test_a_self_test_tolerates_rounding(predictor: Predictor) -> None:
    seen = predictor.observe(drawn_images())
    rounded = [(1 + 1e-3) * values for values in (seen.logits, *seen.statistics)]
    SelfTest(drawn_images(), Observation(rounded[0], rounded[1:])).check(predictor)


@given(shape=st.lists(st.integers(0, 5), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_arrays_survive_as_text(shape: list[int], seed: int) -> None:
    array = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    [(name, found)] = arrays_from_json(json.loads(json.dumps(arrays_to_json({"a": array})))).items()
    assert name == "a"
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    "fields",
    [
        {"shape": [2**40], "float32": ""},
        {"shape": [1], "float32": "?"},
        {"shape": [1.0], "float32": base64.b64encode(bytes(4)).decode()},
        {"shape": [1], "float32": base64.b64encode(b"\0\0\xc0\x7f").decode()},
    ],
)
def test_arrays_that_lie_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a "):
        arrays_from_json({"a": fields})


def test_other_suffixes_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="none of the suffixes"):
        ExportedClassifier(tmp_path / "model.pt")
    with pytest.raises(ModelError, match="There is no file"):
        ExportedClassifier(tmp_path / "model.onnx")


@pytest.mark.slow
def test_a_model_without_decision_is_exported(tmp_path: Path) -> None:
    write_published_folder(tmp_path / "plain")
    source = Source(Predictor(tmp_path / "plain"), "x")
    exported = FORMATS["onnx"].write(source.graph(), source, tmp_path)
    assert exported.decision is None
    [ours], [theirs] = (c.predict([noise(1)]) for c in (exported, source.predictor))
    assert ours.verdict == theirs.verdict == "class"
    assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-5)
