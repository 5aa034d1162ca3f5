"""The options of `trainer/learning_curve.py`, and checks of them before heavy imports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import tyro

from trainer.config.groups import DataConfig, ModelConfig, SourceConfig
from trainer.config.option_types import File, Folder
from trainer.config.paths import cache_problems, file_problems, output_problems, raise_problems
from trainer.errors import ConfigError

FEWEST_COUNTS = 3
Counts = Annotated[tuple[int, ...], tyro.conf.arg(metavar="N …", help_behavior_hint="")]


@dataclass(frozen=True)
class CurveConfig(SourceConfig):
    """The images, the frozen network, and the subsets to measure."""

    skip_bad_images: bool = False
    """Skip files that can't be read as images, and list them, instead of stopping."""
    model: str = ModelConfig.model
    """Name of a timm model whose frozen features a linear head is fitted to."""
    pretrained: bool = True
    """Use pretrained weights from the Hub; random weights only test the command."""
    weights: File = None
    """Use this safetensors file instead of the weights on the Hub."""
    image_size: int = 224
    """Side length of the network's input in pixels, 32 to 2048."""
    counts: Counts = ()
    """Images per class to measure; default: 10, 20, 40, … up to what the smallest class has."""
    more: int = 0
    """Further images of a class to forecast; 0 takes twice what a class has (the median)."""
    folds: int = 5
    """Folds, so that each image is tested by networks that saw no image of its surface."""
    repeats: int = 3
    """Repetitions of all folds with other folds and other subsets."""
    seed: int = 0
    """Seed of folds and subsets."""
    output_dir: Folder = None
    """Folder of the result; default: runs/learning-curve-<name of the data>."""
    cache_dir: Folder = None
    """Cache of overlap searches and backbone features; default: the user's cache folder."""

    @property
    def data(self) -> DataConfig:
        """The images."""
        return DataConfig(**self.sources(), skip_bad_images=self.skip_bad_images)

    @property
    def network(self) -> ModelConfig:
        """The frozen network."""
        return ModelConfig(
            model=self.model,
            pretrained=self.pretrained,
            weights=self.weights,
            image_size=self.image_size,
            tune="head",
        )


def check_options(config: CurveConfig) -> None:
    """Check the options that need no image.

    Raises:
        ConfigError: one message that lists all options that can't work.
    """
    if not config.data_dir:
        raise ConfigError("--data-dir is missing: name the folder of images, or a Hub dataset.")
    raise_problems(
        [
            *_number_problems(config),
            *file_problems("--weights", config.weights),
            *file_problems("--class-map", config.class_map),
            *output_problems("--output-dir", config.output_dir),
            *cache_problems(config.cache_dir),
        ]
    )


def _number_problems(config: CurveConfig) -> Iterator[str]:
    least = (("--folds", config.folds, 2), ("--repeats", config.repeats, 1))
    for flag, value, lowest in (*least, ("--more", config.more, 0), ("--seed", config.seed, 0)):
        if value < lowest:
            yield f"{flag} must be at least {lowest}, not {value}"
    if not 32 <= config.image_size <= 2048:
        yield f"--image-size must be at least 32 and at most 2048, not {config.image_size}"
    if config.weights is not None and not config.pretrained:
        yield "--weights and --no-pretrained exclude each other"
    if config.counts:
        if min(config.counts) < 1:
            yield f"--counts must be at least 1, not {min(config.counts)}"
        if len(set(config.counts)) < FEWEST_COUNTS:
            yield f"--counts takes at least {FEWEST_COUNTS} different numbers: a curve needs them"
