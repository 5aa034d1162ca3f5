"""What the verdict costs: one image through a published model, with and without its decision."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro

from benchmarks.table import head, heading, row
from space.inference.predictor import Predictor
from trainer.synthetic.samples import draw_image


@dataclass(frozen=True)
class Settings:
    """Time the answers of a published folder, one image at a time."""

    folder: Path
    """The published folder of a finished run."""
    images: int = 60
    """How often each way is timed; the two take turns."""


def main(settings: Settings) -> None:
    """Print the table."""
    predictor = Predictor(settings.folder)
    image = draw_image("Patches", 0).convert("RGB")

    def plain() -> None:
        with torch.inference_mode():
            predictor.model(predictor.transform(image).unsqueeze(0)).softmax(dim=1).tolist()

    def verdict() -> None:
        predictor.predict([image])

    ways: dict[str, Callable[[], None]] = {"class by plain softmax": plain, "verdict": verdict}
    taken_ms: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(settings.images + 3):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            # The first ones warm up.
            if turn >= 3:
                taken_ms[name].append(1000 * (time.perf_counter() - start))
    least = median(taken_ms["class by plain softmax"])
    architecture = predictor.model.pretrained_cfg["architecture"]  # type: ignore[index]
    print(heading(f"{architecture}, pre-processing included, {torch.get_num_threads()} threads"))
    print(head("Way", "ms an image, median", "more"))
    for name, times_ms in taken_ms.items():
        more = median(times_ms) / least - 1
        print(row(name, f"{median(times_ms):.1f}", f"{100 * more:+.1f} %"))


if __name__ == "__main__":
    main(tyro.cli(Settings))
