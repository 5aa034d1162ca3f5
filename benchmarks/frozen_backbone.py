"""The reference job, a head on a frozen ConvNeXt-Base: ours against the same loop the plain way.

The plain way (`benchmarks/plain_loop.py`) decodes each training image in each epoch, augments it
and sends it through the frozen backbone in float32; after each epoch it judges all test images, as
the reference work did. On two cores that takes hours, so its seconds an image are measured over a
few hundred images, after a warm-up, and multiplied; loading Python, which it would do once, is left
out in its favour. Ours is measured whole, by its command, from the first line to the published
folder, with a tenth of the training images for validation, so that the test images are seen once;
then once more with other settings of the head, which costs no second pass. Weights are random: the
arithmetic is the same.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.program import ROOT, Finished, ProgramError, run
from benchmarks.table import head, heading, row, times
from trainer.synthetic.samples import CLASSES, write_samples

# What the plain way does not do, either: it rejects nothing, and degrades no image.
PLAIN_FLAGS = ("--reference-images", "0", "--robustness-images", "0")


@dataclass(frozen=True)
class Settings:
    """A head on a frozen backbone, ours against the same loop the plain way."""

    model: str = "convnext_base"
    """timm's name."""
    train_images: int = 1440
    """Drawn, of all six classes together; ours validates on a tenth of them."""
    test_images: int = 360
    """Drawn."""
    epochs: int = 50
    """Of the head."""
    views: int | None = None
    """Augmented views of each image that ours computes. Default: the program's own."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 224
    """Side in pixels."""
    plain_batches: int = 12
    """Batches of training, and as many to judge, from which the plain way's speed is told."""


@dataclass(frozen=True)
class PlainWay:
    """What an image takes the plain way, and what the whole job would."""

    training_s: float
    judging_s: float

    def whole_s(self, training: int, test: int, epochs: int) -> float:
        """Return the seconds of all epochs, each over so many images of training and of test."""
        return epochs * (training * self.training_s + test * self.judging_s)


def main(settings: Settings) -> None:
    """Print the table."""
    print(
        heading(
            f"{settings.model} at {settings.image_size} px, batches of {settings.batch_size}, "
            f"{settings.train_images} training and {settings.test_images} test images, "
            f"{settings.epochs} epochs"
        )
    )
    print(head("way", "seconds", "plain is", "GB"))
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
        plain = PlainWay(per_image["training"], per_image["judging"])
        whole_s = plain.whole_s(settings.train_images, settings.test_images, settings.epochs)
        way = (
            f"plain: {1000 * plain.training_s:.0f} ms a training image, "
            f"{1000 * plain.judging_s:.0f} ms a test image"
        )
        print(row(way, f"{whole_s:,.0f}", "", f"{done.memory_gb:.2f}"), flush=True)
        for way, flags in (
            ("ours, from images to published folder", ()),
            ("ours, again with another head", ("--lr", "3e-3", "--label-smoothing", "0.1")),
        ):
            print(f"{way} …", file=sys.stderr)
            ours = run_ours(folder, way.replace(" ", "-"), settings, *flags)
            seconds, ratio = f"{ours.seconds:,.0f}", times(whole_s / ours.seconds)
            print(row(way, seconds, ratio, f"{ours.memory_gb:.2f}"), flush=True)


def run_plain(folder: Path, settings: Settings) -> Finished:
    """Take a few batches the plain way."""
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
