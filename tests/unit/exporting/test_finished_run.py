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
