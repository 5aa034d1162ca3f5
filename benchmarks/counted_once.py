"""Defects of drawn coils, counted by crop and counted once, against the number that was drawn.

Draws strips with a known number of defects and cuts them into overlapping crops. The answers are
those of a perfect classifier, which isolates search, layout and merging, and then those of a
network that is trained on crops of other strips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tyro
from PIL import Image

from benchmarks.drawn_coil import DEFECTS, LABELS, NO_DEFECT, Strip, draw_strip
from benchmarks.drawn_coil import write_training_images as write_images
from benchmarks.drawn_strips import Shot
from benchmarks.measurement import Measurement, number_column, text_column
from space.inference.predictor import Predictor
from trainer.config.groups import ChecksConfig, DataConfig, DecisionConfig, ModelConfig, RunConfig
from trainer.config.recipe import PRESETS
from trainer.config.settings import TrainConfig
from trainer.prediction.coil.crop import Crop
from trainer.prediction.coil.defects import Defect, find_defects
from trainer.prediction.coil.neighbors import find_neighbors
from trainer.prediction.coil.strips import lay_out_strips
from trainer.prediction.coil.view import merge_overlaps
from trainer.prediction.image_files import ImageFile
from trainer.prediction.pipeline import Pipeline
from trainer.run import train

BIT_DEPTH = 16
# Training strips are drawn from a sequence of their own.
TRAINING, TEST = 0, 1
TRAINING_APART_PX = 200


@dataclass(frozen=True)
class Settings:
    """Defects counted once on drawn coils."""

    model: str = "tf_efficientnet_lite0"
    """Name of a timm model."""
    pretrained: bool = True
    """Start from pretrained weights from the Hub, or else from random ones."""
    weights: Path | None = None
    """Start from this safetensors file instead of the weights on the Hub."""
    image_size: int = 128
    """Side, in pixels, of what the network sees; a crop has 200."""
    epochs: int = 10
    """Passes over the training crops."""
    train_per_class: int = 130
    """Training crops of each class."""
    strips: int = 20
    """Strips of each coil."""
    apart: tuple[int, ...] = (200, 120)
    """Smallest distances, in pixels, between the defects of a coil; one coil each."""
    seed: int = 0
    """Of drawing and of training."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


@dataclass(frozen=True)
class Drawn:
    """A drawn coil on disk.

    Attributes:
        strips: of it.
        shots: each crop's strip and place, in the order of `files`.
        files: of the crops.
    """

    strips: list[Strip]
    shots: list[tuple[int, Shot]]
    files: list[Path]


@dataclass(frozen=True)
class Count:
    """A coil's defects, counted.

    Attributes:
        strips: that were found.
        by_crop: images that show a defect.
        once: defects, by drawn strip and class.
    """

    strips: int
    by_crop: int
    once: Counter[tuple[int, str]]


def draw_coil(folder: Path, seed: int, strips: int, apart_px: int) -> Drawn:
    """Draw a coil and write its crops."""
    rng = np.random.default_rng([seed, TEST, apart_px])
    drawn = [draw_strip(rng, apart_px) for _ in range(strips)]
    shots = [(number, shot) for number, strip in enumerate(drawn) for shot in strip.shots]
    files = [folder / f"{place:05}.png" for place in range(len(shots))]
    folder.mkdir()
    for (number, shot), file in zip(shots, files, strict=True):
        Image.fromarray(shot.taken(drawn[number].levels)).save(file)
    return Drawn(drawn, shots, files)


def count_perfectly(coil: Drawn) -> Count:
    """Count with the classes and heatmaps of a network that makes no mistake."""
    labels = [coil.strips[number].label(shot) for number, shot in coil.shots]
    defects = [None if label == NO_DEFECT else label for label in labels]
    crops = [
        Crop(str(file), file.name, "class", defect)
        for file, defect in zip(coil.files, defects, strict=True)
    ]
    neighbors = find_neighbors(crops, BIT_DEPTH, coil.files[0].parent / "cache")
    strips, _ = lay_out_strips(neighbors.links, neighbors.shapes)

    def heat(image: int, label: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        number, shot = coil.shots[image]
        return coil.strips[number].heat(shot, label)

    found = [defect for strip in strips for defect in find_defects(strip, defects, heat)]
    return Count(len(strips), sum(map(bool, defects)), _by_strip(coil, found))


def count_with(predictor: Predictor, coil: Drawn) -> Count:
    """Count with the answers and heatmaps of a network, as predict.py does."""
    files = [ImageFile(str(file), file.name, file.name) for file in coil.files]
    with Pipeline(predictor) as pipeline:
        rows = [row for batch in pipeline.batches(files, 16) for row in batch]
    crops = [
        Crop(
            path=file.path,
            name=row.path,
            outcome=row.outcome,
            defect=row.label if row.verdict == "class" and row.label != NO_DEFECT else None,
        )
        for file, row in zip(files, rows, strict=True)
    ]
    merged = merge_overlaps(predictor, crops, coil.files[0].parent / "cache")
    found = [defect for piece in merged.pieces for defect in piece.defects]
    return Count(len(merged.pieces), merged.by_crop.total(), _by_strip(coil, found))


def _by_strip(coil: Drawn, found: list[Defect]) -> Counter[tuple[int, str]]:
    return Counter((coil.shots[defect.images[0]][0], defect.label) for defect in found)


def config_for(settings: Settings, data_dir: Path, run_dir: Path) -> TrainConfig:
    """Return the settings of the training."""
    return TrainConfig(
        data=DataConfig(data_dir=(str(data_dir),)),
        model=ModelConfig(
            model=settings.model,
            weights=settings.weights,
            pretrained=settings.pretrained,
            image_size=settings.image_size,
        ),
        recipe=replace(PRESETS["recommended"], epochs=settings.epochs, warmup_epochs=1),
        decision=DecisionConfig(no_defect=NO_DEFECT),
        checks=ChecksConfig(robustness_images=0),
        run=RunConfig(run_dir=run_dir, seed=settings.seed, cache_dir=run_dir.parent / "cache"),
    )


def counts(settings: Settings, folder: Path) -> Iterator[tuple[str, int, Drawn, Count]]:
    """Yield who answers, the distance of the defects, the coil and its count."""
    coils = {
        apart_px: draw_coil(folder / f"coil{apart_px}", settings.seed, settings.strips, apart_px)
        for apart_px in settings.apart
    }
    for apart_px, coil in coils.items():
        yield "perfect", apart_px, coil, count_perfectly(coil)
    rng = np.random.default_rng([settings.seed, TRAINING])
    write_images(folder / "crops", rng, settings.train_per_class, TRAINING_APART_PX)
    train(config_for(settings, folder / "crops", folder / "run"))
    predictor = Predictor(folder / "run" / "published")
    for apart_px, coil in coils.items():
        yield "trained network", apart_px, coil, count_with(predictor, coil)


def main(settings: Settings) -> None:
    """Print the table."""
    measurement = Measurement(
        [
            text_column("Answers"),
            number_column("Defects apart", "≥ {:.0f} px"),
            number_column("Images", "{:,}"),
            number_column("Strips found", "{:,} of {:,}"),
            number_column("Defects drawn", "{:,}"),
            number_column("Images with a defect", "{:,}"),
            number_column("Counted once", "{:,}"),
            number_column("Difference", "{:+.1f} %"),
            number_column("Sum of differences by strip and class", "{:,}"),
        ],
        f"{settings.model}, {settings.image_size} px, {settings.epochs} epochs, "
        f"{settings.train_per_class} training crops of each of {len(LABELS)} classes; crops of "
        "200 px, half of each in the next one, 10 % stored turned or mirrored; "
        f"defects: {', '.join(DEFECTS)}",
    )
    with TemporaryDirectory() as name:
        for answers, apart_px, coil, count in counts(settings, Path(name)):
            drawn = Counter(
                (number, defect.label)
                for number, strip in enumerate(coil.strips)
                for defect in strip.defects
            )
            apart = (drawn - count.once) + (count.once - drawn)
            measurement.add(
                answers,
                apart_px,
                len(coil.files),
                (count.strips, len(coil.strips)),
                drawn.total(),
                count.by_crop,
                count.once.total(),
                100 * (count.once.total() / drawn.total() - 1),
                apart.total(),
            )
    measurement.write(settings.json)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
