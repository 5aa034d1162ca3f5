"""The reference job, a head on a frozen ConvNeXt-Base: ours against the same loop the plain way.

The plain way decodes each image in each epoch, augments it, sends it through the frozen backbone in
float32, and does so with each validation image after each epoch. It would take days on a small
machine, so its seconds an image are measured on a few batches and multiplied. Ours is measured
whole, by its command, from the first image to the published folder; then once more with other
settings of the head, which costs no second pass. Weights are random: the arithmetic is the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
import tyro
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from trainer import machine
from trainer.drawn_samples import write_samples

ROOT = Path(__file__).parent.parent
CLASSES = 6


@dataclass(frozen=True)
class Settings:
    """A head on a frozen backbone, ours against the same loop the plain way."""

    model: str = "convnext_base"
    """timm's name."""
    train_images: int = 1440
    """Drawn, of all six classes together; a tenth of them validates."""
    test_images: int = 360
    """Drawn."""
    epochs: int = 50
    """Of the head."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 224
    """Side in pixels."""
    plain_batches: int = 4
    """Batches from which the plain way's speed is told."""


def main(settings: Settings) -> None:
    """Print the table."""
    print(
        f"{machine.processor_name()}, {machine.core_count()} cores, "
        f"{time.strftime('%d %B %Y')}; {settings.model} at {settings.image_size} px, "
        f"{settings.train_images} training and {settings.test_images} test images, "
        f"{settings.epochs} epochs.\n"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_samples(
            folder / "images",
            train_per_class=settings.train_images // CLASSES,
            test_per_class=settings.test_images // CLASSES,
        )
        print("plain …", file=sys.stderr)
        training_s, judging_s = plain_seconds_per_image(folder / "images" / "train", settings)
        validated = settings.train_images // 10
        plain = settings.test_images * judging_s + settings.epochs * (
            (settings.train_images - validated) * training_s + validated * judging_s
        )
        ours = run_ours(folder, "first", settings)
        again = run_ours(folder, "second", settings, "--lr", "3e-3", "--label-smoothing", "0.1")
    print("| way | seconds | plain is |")
    print("| --- | --: | --: |")
    print(
        f"| plain: {1000 * training_s:.0f} ms a training image, {1000 * judging_s:.0f} ms a "
        f"validation or test image | {plain:,.0f} | |"
    )
    print(f"| ours, whole command | {ours:,.0f} | {plain / ours:.0f} × |")
    print(f"| ours, again with another head | {again:,.0f} | {plain / again:.0f} × |")


def plain_seconds_per_image(images: Path, settings: Settings) -> tuple[float, float]:
    """Return what an image takes in a training step, and where it is only judged."""
    side = [settings.image_size] * 2
    change = v2.Compose(
        [
            v2.Resize(side),
            v2.RandomAffine(45, translate=(0.1, 0.1), shear=[-5, 5, -5, 5]),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    loader = DataLoader(ImageFolder(images, change), settings.batch_size, shuffle=True)
    model = timm.create_model(settings.model, num_classes=CLASSES)
    model.requires_grad_(False)
    model.get_classifier().requires_grad_(True)
    optimizer = torch.optim.AdamW(model.get_classifier().parameters(), lr=1e-4, weight_decay=1e-2)
    training, judging = [], []
    batches = iter(loader)
    for _ in range(1 + settings.plain_batches):
        start = time.perf_counter()
        inputs, targets = next(batches)
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        training.append(time.perf_counter() - start)
        with torch.inference_mode():
            start = time.perf_counter()
            inputs, _ = next(batches)
            model(inputs)
            judging.append(time.perf_counter() - start)
    # The first batch warms up.
    images_timed = settings.plain_batches * settings.batch_size
    return sum(training[1:]) / images_timed, sum(judging[1:]) / images_timed


def run_ours(folder: Path, name: str, settings: Settings, *flags: str) -> float:
    """Return the seconds of a whole `train.py --tune head`."""
    print(f"ours, {name} …", file=sys.stderr)
    start = time.monotonic()
    subprocess.run(
        [
            *(sys.executable, str(ROOT / "trainer" / "train.py"), "--data-dir"),
            *(str(folder / "images"), "--run-dir", str(folder / name), "--tune", "head"),
            *("--model", settings.model, "--no-pretrained", "--epochs", str(settings.epochs)),
            *("--image-size", str(settings.image_size)),
            *("--batch-size", str(settings.batch_size), "--cache-dir", str(folder / "cache")),
            *flags,
        ],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - start


if __name__ == "__main__":
    main(tyro.cli(Settings))
