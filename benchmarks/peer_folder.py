"""Predict a folder with a library that has no command for it: transformers or Ultralytics.

`benchmarks/predict_peers.py` runs this file with the Python of the peers, which need not have this
project: it imports nothing of it. Each row of the table that it writes is a path and a class.
"""

from __future__ import annotations

import argparse
import csv
import importlib
from collections.abc import Iterator
from pathlib import Path

import torch


def transformers(given: argparse.Namespace, files: list[str]) -> Iterator[tuple[str, object]]:
    """Yield path and class of each image, by the pipeline for image classification."""
    library = importlib.import_module("transformers")
    pipeline = library.pipeline(
        "image-classification",
        model=given.model,
        image_processor=f"{given.model}/processor",
        device="cpu",
        dtype=getattr(torch, given.dtype),
        top_k=1,
    )
    answers = pipeline(files, batch_size=given.batch_size, num_workers=given.workers)
    for file, answer in zip(files, answers, strict=True):
        yield file, answer[0]["label"]


def ultralytics(given: argparse.Namespace, files: list[str]) -> Iterator[tuple[str, object]]:
    """Yield path and class of each image, by a classifier of YOLO with random weights."""
    library = importlib.import_module("ultralytics")
    model = library.YOLO(given.model, task="classify")
    if given.openvino:
        torch.manual_seed(0)
        exported = model.export(
            format="openvino", imgsz=given.side, dynamic=True, batch=given.batch_size, verbose=False
        )
        model = library.YOLO(exported, task="classify")
    # A folder is read in batches; a list of files would be, too.
    folder = str(Path(files[0]).parent)
    for result in model.predict(
        folder, imgsz=given.side, batch=given.batch_size, stream=True, verbose=False, device="cpu"
    ):
        yield result.path, int(result.probs.top1)


LIBRARIES = {"transformers": transformers, "ultralytics": ultralytics}


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=[*LIBRARIES])
    parser.add_argument("images", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--openvino", action="store_true")
    given = parser.parse_args()
    files = sorted(str(file) for file in given.images.iterdir())
    with torch.inference_mode(), given.table.open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows(LIBRARIES[given.library](given, files))


if __name__ == "__main__":
    main()
