"""The reference job, a head on a frozen ConvNeXt-Base: our program compared with a plain loop.

The plain loop (`benchmarks/plain_loop.py`) decodes and augments each training image in each epoch
and passes it through the frozen backbone in float32; after each epoch it predicts all test images,
as the reference work did. On two cores that takes hours, so its seconds per image are measured over
a few hundred images, after a warm-up, and extrapolated, without its start-up time. Our program is
measured as a whole command, up to the published folder, with a tenth of the training images for
validation and one pass over the test images; then again with other settings of the head, which
needs no second pass through the backbone. Weights are random, which does not change the time.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.measurement import Measurement, number_column, text_column, times_column
from benchmarks.program import ROOT, Finished, ProgramError, run
from trainer.synthetic.samples import CLASSES, write_samples

# Switch off what the plain loop does not do: the novelty detector and the robustness test.
PLAIN_FLAGS = ("--reference-images", "0", "--robustness-images", "0")


@dataclass(frozen=True)
class Settings:
    """A head on a frozen backbone: our program compared with a plain loop."""

    model: str = "convnext_base"
    """timm's name."""
    train_images: int = 1440
    """Drawn, of all six classes together; ours validates on a tenth of them."""
    test_images: int = 360
    """Drawn."""
    epochs: int = 50
    """Of the head."""
    views: int | None = None
    """Augmented views of each image in our program. Default: the program's own."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 224
    """Side in pixels."""
    plain_batches: int = 12
    """Batches of training, and of prediction, to measure the plain loop with."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


@dataclass(frozen=True)
class PlainLoop:
    """Seconds per image of the plain loop."""

    training_s: float
    prediction_s: float

    def whole_s(self, training: int, test: int, epochs: int) -> float:
        """Return the seconds of all epochs, each over `training` and `test` images."""
        return epochs * (training * self.training_s + test * self.prediction_s)


def main(settings: Settings) -> None:
    """Print the table."""
    measurement = Measurement(
        [
            text_column("Program"),
            number_column("Seconds", "{:,.0f}"),
            times_column("Plain takes"),
            number_column("Peak memory", "{:.2f} GB"),
        ],
        f"{settings.model} from random weights at {settings.image_size} px, batches of "
        f"{settings.batch_size}, {settings.train_images} training and {settings.test_images} test "
        f"images, {settings.epochs} epochs",
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_samples(
            folder / "images",
            train_per_class=settings.train_images // len(CLASSES),
            test_per_class=settings.test_images // len(CLASSES),
        )
        print("plain …", file=sys.stderr)
        done = run_plain(folder, settings)
        per_image = json.loads(done.output)
        plain = PlainLoop(per_image["training"], per_image["prediction"])
        whole_s = plain.whole_s(settings.train_images, settings.test_images, settings.epochs)
        way = (
            f"plain: {1000 * plain.training_s:.0f} ms a training image, "
            f"{1000 * plain.prediction_s:.0f} ms a test image"
        )
        measurement.add(way, whole_s, None, done.memory_gb)
        for way, flags in (
            ("ours, from images to published folder", ()),
            ("ours, again with another head", ("--lr", "3e-3", "--label-smoothing", "0.1")),
        ):
            print(f"{way} …", file=sys.stderr)
            ours = run_ours(folder, way.replace(" ", "-"), settings, *flags)
            measurement.add(way, ours.seconds, whole_s / ours.seconds, ours.memory_gb)
    measurement.write(settings.json)


def run_plain(folder: Path, settings: Settings) -> Finished:
    """Time a few batches of the plain loop."""
    command: list[str | Path] = [
        *(sys.executable, ROOT / "benchmarks" / "plain_loop.py"),
        *("--images", folder / "images" / "train", "--model", settings.model),
        *("--image-size", str(settings.image_size), "--batch-size", str(settings.batch_size)),
        *("--batches", str(settings.plain_batches)),
    ]
    return run(command, folder)


def run_ours(folder: Path, name: str, settings: Settings, *flags: str) -> Finished:
    """Run a whole `train.py --tune head`."""
    views = () if settings.views is None else ("--views", str(settings.views))
    command: list[str | Path] = [
        *(sys.executable, ROOT / "trainer" / "train.py", "--data-dir", folder / "images"),
        *("--run-dir", folder / name, "--cache-dir", folder / "cache", "--tune", "head"),
        *("--model", settings.model, "--no-pretrained", "--epochs", str(settings.epochs)),
        *("--image-size", str(settings.image_size), "--batch-size", str(settings.batch_size)),
        *views,
        *PLAIN_FLAGS,
        *flags,
    ]
    return run(command, folder)


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings))
    except ProgramError as error:
        sys.exit(str(error))
