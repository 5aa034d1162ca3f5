"""Accuracy on long strips with thin defects, squashed into squares and cut into tiles.

Draws strips, trains the same network with and without `--tile`, and prints both test accuracies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import numpy.typing as npt
import tyro
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks.measurement import Measurement, number_column, text_column
from model_card.schema.report import Report
from trainer.config.groups import (
    ChecksConfig,
    DataConfig,
    DecisionConfig,
    ModelConfig,
    RunConfig,
)
from trainer.config.recipe import RecipeConfig
from trainer.config.settings import TrainConfig
from trainer.run import train

Array = npt.NDArray[np.float64]
Rng = np.random.Generator

WIDTH_PX, HEIGHT_PX = 800, 128


@dataclass(frozen=True)
class Settings:
    """Long strips with and without --tile."""

    model: str = "tf_efficientnet_lite0"
    """Name of a timm model."""
    pretrained: bool = True
    """Start from pretrained weights from the Hub, or else from random ones."""
    weights: Path | None = None
    """Start from this safetensors file instead of the weights on the Hub."""
    tune: Literal["all", "head"] = "head"
    """Train all layers, or only the linear head on a frozen backbone."""
    image_size: int = 96
    """Side, in pixels, of what the network sees."""
    epochs: int = 30
    """Passes over the training strips."""
    lr: float = 1e-3
    """Learning rate."""
    train_per_class: int = 60
    """Strips of each class to train on."""
    test_per_class: int = 40
    """Strips of each class to test on."""
    seed: int = 0
    """Of drawing and of training."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def surface(rng: Rng) -> Array:
    """Return a strip without defect: grinding marks along it, clouds and the noise of a sensor."""
    size = (HEIGHT_PX, WIDTH_PX)
    levels = 120 + rng.uniform(-15, 15) + 3 * rng.standard_normal(size)
    for sigma, deviation in (((0.8, 20), 8.0), ((25, 40), 8.0), ((3, 3), 3.0)):
        grain = gaussian_filter(rng.standard_normal(size), sigma, mode="wrap")
        levels += deviation * grain / grain.std()
    return levels


def no_defect(levels: Array, rng: Rng) -> None:
    """Leave the surface as it is."""


def scratch(levels: Array, rng: Rng) -> None:
    """Draw a bright line, 2 px wide, upright across at least half of the strip."""
    length = int(rng.integers(HEIGHT_PX // 2, HEIGHT_PX))
    top, left = int(rng.integers(HEIGHT_PX - length)), int(rng.integers(4, WIDTH_PX - 6))
    levels[top : top + length, left : left + 2] += rng.uniform(40, 70)


def spot(levels: Array, rng: Rng) -> None:
    """Draw a dark spot of 3 to 5 px radius."""
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    y, x = rng.uniform(8, HEIGHT_PX - 8), rng.uniform(8, WIDTH_PX - 8)
    distance = np.hypot(rows - y, columns - x)
    levels -= rng.uniform(40, 70) * np.clip(rng.uniform(3, 5) - distance, 0, 1)


def stain(levels: Array, rng: Rng) -> None:
    """Draw a broad dark stain, which no scaling can hide."""
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    y, x = rng.uniform(20, HEIGHT_PX - 20), rng.uniform(60, WIDTH_PX - 60)
    distance = ((rows - y) / rng.uniform(20, 35)) ** 2 + ((columns - x) / rng.uniform(50, 90)) ** 2
    levels -= rng.uniform(25, 45) * np.exp(-distance)


DEFECTS: dict[str, Callable[[Array, Rng], None]] = {
    "none": no_defect,
    "scratch": scratch,
    "spot": spot,
    "stain": stain,
}


def draw_strip(label: str, seed: int) -> Image.Image:
    """Return a strip of 800 × 128 px that shows one class."""
    rng = np.random.default_rng([list(DEFECTS).index(label), seed])
    levels = surface(rng)
    DEFECTS[label](levels, rng)
    return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))


def write_strips(folder: Path, train_per_class: int, test_per_class: int, seed: int) -> None:
    """Draw strips into class folders under `train` and `test`."""
    for split, count, first in (("train", train_per_class, 0), ("test", test_per_class, 10**6)):
        for label in DEFECTS:
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(count):
                drawn = draw_strip(label, first + 1000 * seed + number)
                drawn.save(place / f"{number:03}.png")


def config_for(settings: Settings, data_dir: Path, run_dir: Path, *, tile: bool) -> TrainConfig:
    """Return the settings of one of the two trainings; only --tile differs."""
    recipe = RecipeConfig(epochs=settings.epochs, lr=settings.lr)
    return TrainConfig(
        data=DataConfig(data_dir=(str(data_dir),), validation_fraction=0.2),
        model=ModelConfig(
            model=settings.model,
            weights=settings.weights,
            pretrained=settings.pretrained,
            tune=settings.tune,
            image_size=settings.image_size,
            tile=tile,
        ),
        recipe=recipe,
        decision=DecisionConfig(reference_images=0),
        checks=ChecksConfig(robustness_images=0),
        run=RunConfig(run_dir=run_dir, seed=settings.seed, cache_dir=run_dir.parent / "cache"),
    )


@dataclass(frozen=True)
class Outcome:
    """Results of one of the two trainings, as fractions of 1."""

    images: int
    accuracy: float
    low: float
    high: float
    sensitivity: dict[str, float]


def outcome(settings: Settings, folder: Path, *, tile: bool) -> Outcome:
    """Train one way on the strips in `folder` and return its test result."""
    run_dir = folder / ("tiled" if tile else "squashed")
    report = Report.read(train(config_for(settings, folder / "strips", run_dir, tile=tile)))
    accuracy = report.test.scores["accuracy"]
    return Outcome(
        images=report.test.images,
        accuracy=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
        sensitivity={each.label: each.scores["sensitivity"].value for each in report.test.classes},
    )


def main(settings: Settings) -> None:
    """Print the table."""
    train_images, test_images = settings.train_per_class, settings.test_per_class
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_strips(folder / "strips", train_images, test_images, settings.seed)
        outcomes = {
            way: outcome(settings, folder, tile=tile)
            for way, tile in (("squashed", False), ("`--tile`", True))
        }
    tested = outcomes["squashed"].images
    measurement = Measurement(
        [
            text_column("Strips"),
            number_column("Accuracy", "{:.1f} %"),
            number_column("95 % interval", "{:.1f}–{:.1f} %"),
            *(number_column(label, "{:.0f} %") for label in DEFECTS),
        ],
        f"{settings.model}, {settings.image_size} px, {settings.epochs} epochs, {train_images} "
        f"training strips a class, {tested} test strips",
    )
    for way, found in outcomes.items():
        measurement.add(
            way,
            100 * found.accuracy,
            (100 * found.low, 100 * found.high),
            *(100 * found.sensitivity[label] for label in DEFECTS),
        )
    measurement.write(settings.json)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
