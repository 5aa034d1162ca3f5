"""Accuracy over the number of photographs per class, always on the same test images.

The images are split once, in groups of shared surface. The test split is fixed; from the rest, N
images of each class are sampled. Each training is `trainer/train.py` in its own process, with the
flags in `--train-flags="…"`.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from benchmarks.measurement import Measurement, number_column
from benchmarks.program import ROOT, run
from model_card.schema.report import Report
from trainer.config.groups import DataConfig, RunConfig
from trainer.data.splits.dataset import Images, prepare_images

TRAINING = ("train", "validation")


@dataclass(frozen=True)
class Settings:
    """How many photographs a class needs, measured by training on fewer."""

    data_dir: Path
    """Folder with a folder for each class."""
    counts: tuple[int, ...] = (5, 10, 20, 40, 80, 160)
    """Photographs of each class, for training and validation together."""
    repeats: int = 3
    """Trainings for each count, each with another sample."""
    epochs: int = 20
    """For the largest count. Fewer photographs get more epochs: every training takes as many
    steps."""
    train_flags: str = "--tune head"
    """Flags of trainer/train.py, in quotes."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


@dataclass(frozen=True)
class Row:
    """The trainings with one number of photographs.

    Attributes:
        images_per_class: for training and validation together.
        surfaces_per_class: distinct pieces of surface, mean over classes and repeats.
        accuracies: of each repeat, on the test images, as fractions of 1.
        worst_recalls: of the class found least often, of each repeat.
    """

    images_per_class: int
    surfaces_per_class: float
    accuracies: list[float]
    worst_recalls: list[float]


def main(settings: Settings) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = DataConfig(data_dir=(str(settings.data_dir),))
        [images] = prepare_images(data, RunConfig(), None, None)
        tested = len(images.splits["test"])
        measurement = Measurement(
            [
                number_column("Photographs per class", "{:,}"),
                number_column("Pieces of surface per class", "{:.0f}"),
                number_column("Accuracy, lowest–highest", "{:.1f} % ({:.1f}–{:.1f} %)"),
                number_column("Worst class, mean recall", "{:.1f} %"),
            ],
            f"{settings.repeats} trainings a row, each tested on {tested} images",
        )
        for count in tqdm(settings.counts, "trainings", disable=None):
            found = train_on(count, images, settings, folder)
            accuracies = [100 * value for value in found.accuracies]
            measurement.add(
                count,
                found.surfaces_per_class,
                (float(np.mean(accuracies)), min(accuracies), max(accuracies)),
                100 * float(np.mean(found.worst_recalls)),
            )
    measurement.write(settings.json)


def train_on(count: int, images: Images, settings: Settings, folder: Path) -> Row:
    """Train several times on `count` photographs of each class."""
    accuracies, recalls, surfaces = [], [], []
    for repeat in range(settings.repeats):
        data = folder / f"{count}-{repeat}"
        surfaces.append(link_images(images, count, repeat, settings.data_dir, data))
        run_dir = folder / f"run-{count}-{repeat}"
        run(
            [
                *(sys.executable, ROOT / "trainer" / "train.py"),
                *("--data-dir", data, "--run-dir", run_dir, "--cache-dir", folder / "cache"),
                *("--epochs", str(settings.epochs * max(settings.counts) // count)),
                *shlex.split(settings.train_flags),
            ],
            Path.cwd(),
        )
        test = Report.read(run_dir / "published").test
        accuracies.append(test.scores["accuracy"].value)
        recalls.append(min(each.scores["sensitivity"].value for each in test.classes))
    return Row(count, float(np.mean(surfaces)), accuracies, recalls)


def link_images(images: Images, count: int, seed: int, source: Path, data: Path) -> float:
    """Create a data folder: all test images, and `count` training images per class.

    Returns:
        distinct pieces of surface per class, mean over the classes.

    Raises:
        SystemExit: a class has fewer.
    """
    rng = np.random.default_rng(seed)
    files: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for name in TRAINING:
        split = images.splits[name]
        for file, label, group in zip(split["file"], split["label"], split["group"], strict=True):
            files[label].append((group, file))
    shown = []
    for label, found in sorted(files.items()):
        if len(found) < count:
            raise SystemExit(f"{images.labels[label]} has {len(found)} photographs, not {count}.")
        chosen = [found[index] for index in rng.permutation(len(found))[:count]]
        shown.append(len({group for group, _ in chosen}))
        for _, file in chosen:
            link(source, file, data / "train" / images.labels[label])
    test = images.splits["test"]
    for file, label in zip(test["file"], test["label"], strict=True):
        link(source, file, data / "test" / images.labels[label])
    return float(np.mean(shown))


def link(source: Path, file: str, folder: Path) -> None:
    """Put a link to one image into a class folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / Path(file).name).symlink_to((source / file).resolve())


if __name__ == "__main__":
    main(tyro.cli(Settings))
