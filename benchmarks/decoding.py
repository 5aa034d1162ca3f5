"""Decoding and scaling of the training images, before the first epoch: on one core and on all.

`python -m benchmarks.decoding` prints images per second; the images are drawn, enlarged and stored
as JPEG.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import tyro
from PIL import Image

from benchmarks.measurement import Measurement, number_column, times_column
from trainer.config.groups import DataConfig
from trainer.data.sources import find_images
from trainer.inputs.loading import decode
from trainer.synthetic.samples import CLASSES, draw_image

DATA = {"interpolation": "bicubic"}


@dataclass(frozen=True)
class Settings:
    """Decoding and scaling of the training images on one core and on all."""

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
            number_column("One core", "{:,.0f} images/s"),
            number_column("All cores", "{:,.0f} images/s"),
            times_column("All ÷ one"),
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
    """Return images per second of one core, and of all cores that this process may use."""
    _write_images(folder / "images", settings.images, side_px)
    split = find_images(DataConfig(data_dir=(str(folder / "images"),))).splits["train"]
    data_config = DATA | {"input_size": (3, settings.image_size, settings.image_size)}
    process = psutil.Process()
    usable = process.cpu_affinity()
    rates: dict[int, list[float]] = {}
    for number in range(2 * settings.rounds):
        process.cpu_affinity(usable[: 1 + (len(usable) - 1) * (number % 2)])
        start = time.perf_counter()
        decode(split, data_config, folder / "pixels.arrow")
        rates.setdefault(number % 2, []).append(len(split) / (time.perf_counter() - start))
    process.cpu_affinity(usable)
    one, every = (statistics.median(each) for each in rates.values())
    return one, every


def _write_images(folder: Path, images: int, side_px: int) -> None:
    for number in range(images):
        label = CLASSES[number % len(CLASSES)]
        place = folder / "train" / label
        place.mkdir(parents=True, exist_ok=True)
        image = draw_image(label, number).resize((side_px, side_px), Image.Resampling.BICUBIC)
        image.save(place / f"{number}.jpg", quality=90)


if __name__ == "__main__":
    main(tyro.cli(Settings))
