"""A model is exported into a folder: the images that int8 is fitted to, and the program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.published_folder import write_published_folder
from trainer.exporting import folder
from trainer.exporting.bundle import BUNDLE_FILE
from trainer.exporting.formats import FORMATS, Calibration

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("data_dir", [(), ("good", "bad")])
def test_formats_are_fitted_to_the_named_images(
    data_dir: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_published_folder(tmp_path / "model", bit_depth=12)
    asked: list[Any] = []

    def of_folders(*given: Any, seed: int) -> Calibration:
        asked.append(given)
        return Calibration(cast(Any, ["fitted"]), cast(Any, ["compared"]))

    def build(source: Any, calibration: Calibration) -> Any:
        asked.append((calibration.images, calibration.compared))
        return FORMATS["onnx"].build(source, calibration)

    monkeypatch.setattr(folder, "of_folders", of_folders)
    monkeypatch.setattr(folder, "FORMATS", {"onnx": replace(FORMATS["onnx"], build=build)})
    model = f"local-dir:{tmp_path / 'model'}"
    output = folder.export_model(model, ("onnx",), tmp_path / "out", data_dir)
    assert (output / BUNDLE_FILE).is_file()
    assert (output / "onnx/model.onnx").is_file()
    expected: list[Any] = [(data_dir, 12), (["fitted"], ["compared"])]
    assert asked == (expected if data_dir else [([], [])])
