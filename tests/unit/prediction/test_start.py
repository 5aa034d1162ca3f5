"""The start of predict.py: what takes seconds to import is not imported without need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from space.inference.predictor import Predictor
from tests.support.published_folder import noise, write_decision, write_published_folder

SCRIPT = """
import sys
import trainer.prediction.watching.watcher
from trainer.predict import main
code = main(sys.argv[1:])
heavy = {"torch", "timm", "captum", "datasets", "scipy", "sklearn", "huggingface_hub"}
print(code, sorted(heavy & sys.modules.keys()))
"""


@pytest.mark.slow
def test_a_converted_model_predicts_without_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    folder = tmp_path / "published"
    write_published_folder(folder)
    write_decision(folder)
    noise(1).save(tmp_path / "image.png")
    expected = Predictor(folder, engine="openvino").predict([noise(1)])[0]
    done = subprocess.run(
        [
            *(sys.executable, "-c", SCRIPT, "--model", f"local-dir:{folder}"),
            *(str(tmp_path / "image.png"), "--engine", "openvino"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _, row, last = done.stdout.splitlines()
    assert row.split(",")[1:4] == [
        expected.label,
        str(round(expected.confidence, 6)),
        expected.verdict,
    ]
    assert last == "0 []"
