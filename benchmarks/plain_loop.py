"""A plain training loop for a head on a frozen backbone; prints seconds per image as JSON.

Each image is decoded and augmented in each epoch, and passes through the whole frozen network in
float32, in PyTorch's default memory layout. `benchmarks/frozen_backbone.py` runs it.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import tyro
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2


@dataclass(frozen=True)
class Settings:
    """A few batches of training and of prediction, in a plain loop."""

    images: Path
    """Folder with a folder of images for each class."""
    model: str
    """timm's name."""
    image_size: int
    """Side in pixels."""
    batch_size: int
    """Images in a step."""
    batches: int
    """Timed batches of training and of prediction, after one warm-up batch."""


def main(settings: Settings) -> None:
    """Print the seconds per image of training and of prediction."""
    torch.manual_seed(0)
    changed, plain = (
        ImageFolder(settings.images, transform(settings.image_size, augment=augment))
        for augment in (True, False)
    )
    model: Any = timm.create_model(settings.model, num_classes=len(changed.classes))
    model.requires_grad_(False)
    head = model.get_classifier().requires_grad_(True)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-4, weight_decay=1e-2)
    seconds = {
        "training": train(model, optimizer, changed, settings),
        "prediction": predict(model, plain, settings),
    }
    sys.stdout.write(json.dumps(seconds) + "\n")


def transform(image_size: int, *, augment: bool) -> Any:
    """Return the preprocessing of an image, with the reference recipe's augmentation or without."""
    changes = [
        v2.RandomAffine(45, translate=(0.1, 0.1), shear=[-5, 5, -5, 5]),
        v2.RandomHorizontalFlip(),
        v2.RandomVerticalFlip(),
    ]
    return v2.Compose(
        [
            v2.Resize([image_size, image_size]),
            *(changes if augment else ()),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: ImageFolder, settings: Settings
) -> float:
    """Return the seconds per image of a training step."""
    model.train()
    batches = iter(DataLoader(images, settings.batch_size, shuffle=True))
    for number in range(1 + settings.batches):
        if number == 1:
            start = time.perf_counter()
        inputs, targets = next(batches)
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return (time.perf_counter() - start) / (settings.batches * settings.batch_size)


@torch.no_grad()
def predict(model: nn.Module, images: ImageFolder, settings: Settings) -> float:
    """Return the seconds per image of a prediction."""
    model.eval()
    batches = iter(DataLoader(images, settings.batch_size))
    for number in range(1 + settings.batches):
        if number == 1:
            start = time.perf_counter()
        inputs, _ = next(batches)
        model(inputs)
    return (time.perf_counter() - start) / (settings.batches * settings.batch_size)


if __name__ == "__main__":
    main(tyro.cli(Settings))
