"""The program that runs exported files without PyTorch: `predict.pyz`, one file."""

from __future__ import annotations

import shutil
import tempfile
import zipapp
from pathlib import Path

import space.inference
import trainer

BUNDLE_FILE = "predict.pyz"
MAIN = "trainer.exporting.standalone:command"
# Below the folder of the packages: what the program imports, and nothing that needs PyTorch.
MODULES = (
    "space/__init__.py",
    "space/batch/__init__.py",
    "space/batch/row.py",
    "space/inference/__init__.py",
    "space/inference/core/*.py",
    "space/inference/exported/*.py",
    "space/inference/images/*.py",
    "space/inference/multilabel/*.py",
    "space/inference/engines/__init__.py",
    "space/inference/engines/names.py",
    "space/inference/engines/onnx_runtime.py",
    "space/inference/engines/openvino_*.py",
    "space/inference/text/*.py",
    "trainer/__init__.py",
    "trainer/data/__init__.py",
    "trainer/data/folders/__init__.py",
    "trainer/data/folders/entries.py",
    "trainer/errors.py",
    "trainer/exporting/__init__.py",
    "trainer/exporting/standalone.py",
    "trainer/prediction/__init__.py",
    "trainer/prediction/options.py",
    "trainer/prediction/pipeline.py",
    "trainer/prediction/row.py",
    "trainer/runtime/__init__.py",
    "trainer/runtime/system.py",
    "trainer/text/__init__.py",
    "trainer/text/names.py",
)


def write_bundle(folder: Path) -> Path:
    """Write `predict.pyz` into a folder; it runs with numpy, Pillow and onnxruntime or openvino."""
    root = Path(trainer.__file__).parents[1]
    inference = Path(space.inference.__file__).parents[2]
    with tempfile.TemporaryDirectory() as staging:
        for pattern in MODULES:
            base = inference if pattern.startswith("space/") else root
            for file in base.glob(pattern):
                target = Path(staging) / file.relative_to(base)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        target = folder / BUNDLE_FILE
        zipapp.create_archive(staging, target, "/usr/bin/env python3", MAIN, compressed=True)
    return target
