"""Decoding and scaling of the images before the first epoch: in one thread and on all cores.

`python -m benchmarks.decoding` prints images per second; the images are drawn, enlarged and stored
as JPEG.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import tyro
from PIL import Image

from benchmarks.measurement import Measurement, number_column, times_column
from trainer.config.groups import DataConfig
from trainer.data.sources import find_images
from trainer.inputs.loading import decode
from trainer.runtime.system import core_count
from trainer.synthetic.samples import CLASSES, draw_image

DATA = {"interpolation": "bicubic"}


@dataclass(frozen=True)
class Settings:
    """Decoding and scaling of the training images, in one thread and on all cores."""

    sides: tuple[int, ...] = (200, 1000)
    """Sides of the images in pixels."""
    image_size: int = 224
    """Side of the network's input in pixels."""
    images: int = 240
    """Images in all."""
    rounds: int = 3
    """Measurements of each, interleaved; the table shows their median."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print a row for each size of images."""
    measurement = Measurement(
        [
            number_column("Images", "{0} × {0} px"),
            number_column("One thread", "{:,.0f} images/s"),
            number_column("All cores", "{:,.0f} images/s"),
            times_column("All ÷ one thread"),
        ],
        f"{settings.images} JPEG images, scaled to {settings.image_size} px, median of "
        f"{settings.rounds} turns",
    )
    for side_px in settings.sides:
        with tempfile.TemporaryDirectory() as temporary:
            one, every = _rates(settings, side_px, Path(temporary))
        measurement.add(side_px, one, every, every / one)
    measurement.write(settings.json)


def _rates(settings: Settings, side_px: int, folder: Path) -> tuple[float, float]:
    """Return images per second of one thread, and of as many as this process may use cores."""
    _write_images(folder / "images", settings.images, side_px)
    split = find_images(DataConfig(data_dir=(str(folder / "images"),))).splits["train"]
    data_config = DATA | {"input_size": (3, settings.image_size, settings.image_size)}
    rates: dict[int, list[float]] = {}
    for _ in range(settings.rounds):
        for threads in (1, core_count()):
            with patch("trainer.inputs.loading.core_count", return_value=threads):
                start = time.perf_counter()
                decode(split, data_config, folder / "pixels.arrow")
                rate = len(split) / (time.perf_counter() - start)
            rates.setdefault(threads, []).append(rate)
    return statistics.median(rates[1]), statistics.median(rates[core_count()])


def _write_images(folder: Path, images: int, side_px: int) -> None:
    for number in range(images):
        label = CLASSES[number % len(CLASSES)]
        place = folder / "train" / label
        place.mkdir(parents=True, exist_ok=True)
        image = draw_image(label, number).resize((side_px, side_px), Image.Resampling.BICUBIC)
        image.save(place / f"{number}.jpg", quality=90)


if __name__ == "__main__":
    main(tyro.cli(Settings))
