"""The cost of the decision: one image through a published model, with and without it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro

from benchmarks.measurement import Measurement, number_column, text_column
from space.inference.predictor import Predictor
from trainer.synthetic.samples import draw_image


@dataclass(frozen=True)
class Settings:
    """Time the predictions of a published folder, one image at a time."""

    folder: Path
    """The published folder of a finished run."""
    images: int = 60
    """Number of timed predictions of each kind, interleaved."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print the table."""
    predictor = Predictor(settings.folder)
    image = draw_image("Patches", 0).convert("RGB")

    def plain() -> None:
        with torch.inference_mode():
            predictor.model(predictor.normalized(image)).softmax(dim=1).tolist()

    def verdict() -> None:
        predictor.predict([image])

    ways: dict[str, Callable[[], None]] = {"plain softmax": plain, "decision": verdict}
    taken_ms: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(settings.images + 3):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            # The first three warm up.
            if turn >= 3:
                taken_ms[name].append(1000 * (time.perf_counter() - start))
    plain_ms, verdict_ms = (median(times_ms) for times_ms in taken_ms.values())
    architecture = predictor.model.pretrained_cfg["architecture"]  # type: ignore[index]
    measurement = Measurement(
        [
            text_column("Model"),
            number_column("Plain softmax", "{:.1f} ms"),
            number_column("Decision", "{:.1f} ms"),
            number_column("More", "{:.1f} %"),
        ],
        f"median of {settings.images} images one by one, preprocessing included, "
        f"{torch.get_num_threads()} threads",
    )
    measurement.add(f"`{architecture}`", plain_ms, verdict_ms, 100 * (verdict_ms / plain_ms - 1))
    measurement.write(settings.json)


if __name__ == "__main__":
    main(tyro.cli(Settings))
