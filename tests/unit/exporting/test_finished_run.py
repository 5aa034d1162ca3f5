"""A finished run's formats: the precision that each file asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from space.inference.engines.names import Precision
from space.inference.exported.self_test import SelfTestError
from space.inference.predictor import ModelError
from trainer.config.groups import DataConfig
from trainer.config.settings import TrainConfig
from trainer.exporting import finished_run
from trainer.exporting.formats import FORMATS


class Passport(SimpleNamespace):
    """As much of a passport as the choice needs."""

    def model_copy(self, update: dict[str, Any]) -> Passport:
        return Passport(**{**vars(self), **update})


CHANGED = "it decides 3 of 285 test images differently"
OFF = "its self-test differs by 0.31, at most 0.05 is allowed"


@pytest.mark.parametrize(
    ("refused", "chosen", "slower"),
    [
        ({}, "bf16", None),
        ({"bf16": CHANGED}, "mixed", f"in bf16, {CHANGED}"),
        (
            {"bf16": SelfTestError("file", "OpenVINO", OFF), "mixed": CHANGED},
            "f32",
            f"in bf16, {OFF}; in bf16 behind its first layers, {CHANGED}",
        ),
        (
            {"bf16": ModelError("/secret/file can't be loaded")},
            "mixed",
            "in bf16, OpenVINO can't compute it",
        ),
    ],
)
def test_the_fastest_precision_that_decides_alike_is_exported(
    refused: dict[Precision, str | ModelError],
    chosen: str,
    slower: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(*given: object) -> object:
        precision = given[4] if len(given) == 5 else "f32"
        if isinstance(error := refused.get(cast(Precision, precision)), ModelError):
            raise error
        return precision

    form = replace(FORMATS["openvino"], build=lambda source, calibration: None)
    monkeypatch.setattr(type(form), "write", write)
    monkeypatch.setattr(finished_run, "FORMATS", {"openvino": form})
    monkeypatch.setattr(finished_run, "_has_bf16", lambda: True)
    monkeypatch.setattr(
        finished_run,
        "_passport",
        lambda name, precision, *_: Passport(precision=precision, refused=refused.get(precision)),
    )
    nothing: Any = None
    found = finished_run._measured("openvino", nothing, nothing, Path(), nothing, nothing)
    assert (found.precision, found.slower) == (chosen, slower)
    monkeypatch.setattr(finished_run, "_has_bf16", lambda: False)
    found = finished_run._measured("openvino", nothing, nothing, Path(), nothing, nothing)
    assert (found.precision, found.slower) == ("f32", None)


def test_the_passport_is_of_all_files_in_the_precision_that_they_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FORMATS["openvino"].files
    for number, file in enumerate(files):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(bytes(10 + number))
    classifier: Any = SimpleNamespace(metadata=SimpleNamespace(precision="mixed"))
    monkeypatch.setattr(finished_run, "measure", lambda asked, images: (asked, images))
    monkeypatch.setattr(
        finished_run, "write_passport", lambda *given, precision: [*given, precision]
    )
    tested, reference = cast(Any, "images"), cast(Any, "reference")
    found: Any = finished_run._passport("openvino", classifier, tmp_path, tested, reference)
    assert found == [
        *("openvino", "OpenVINO", files, 21, classifier),
        *((classifier, tested), reference, tested),
        "mixed",
    ]


@pytest.mark.parametrize("moved", [(), ("elsewhere", "beyond")])
def test_images_are_those_of_the_first_fold_where_they_lie_now(
    moved: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def prepare(data: DataConfig, *_: object) -> list[str]:
        asked.append(data.data_dir)
        return ["first", "second"]

    config = TrainConfig(data=DataConfig(data_dir=("then",)))
    monkeypatch.setattr(TrainConfig, "read", lambda folder: config)
    monkeypatch.setattr(finished_run, "prepare_images", prepare)
    assert cast(Any, finished_run._images(tmp_path, moved)) == "first"
    assert asked == [moved or ("then",)]
