"""The images that int8 is fitted to: training images, and corrupted ones among them."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from space.inference.images.reader import ImageError, read_image
from trainer.data.folders.entries import File, Folder
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images
from trainer.errors import DataError
from trainer.exporting.formats import Calibration
from trainer.inputs.corruptions import corrupt_randomly, to_bytes
from trainer.text.names import printable

CALIBRATION_IMAGES, COMPARED_IMAGES = 300, 200
# Of the calibration images, one in so many is corrupted: the line will not stay as it is.
CORRUPTED_EVERY = 3


def of_run(images: Images, seed: int) -> Calibration:
    """Return training images to calibrate with, and validation images to compare."""
    splits = images.splits
    return Calibration(
        _with_corrupted(_sample(splits["train"], CALIBRATION_IMAGES, seed), seed),
        _sample(splits["validation"], COMPARED_IMAGES, seed),
    )


def of_folders(folders: Sequence[str], bit_depth: int, seed: int) -> Calibration:
    """Return images of folders to calibrate with, and others of them to compare.

    Raises:
        DataError: a folder has no image, there are fewer than two in all, or one can't be read.
    """
    files: list[File] = []
    for folder in folders:
        found = sorted(Folder(folder).images_below(), key=lambda file: file.path)
        if len(found) < (2 if len(folders) == 1 else 1):
            raise DataError(f"--data-dir {printable(folder)} holds too few images.")
        files += found
    order = np.random.default_rng(seed).permutation(len(files))
    chosen = []
    for place in order[: CALIBRATION_IMAGES + COMPARED_IMAGES]:
        try:
            chosen.append(read_image(files[place].path, bit_depth))
        except ImageError as error:
            raise DataError(
                f"--data-dir: {printable(files[place].path)} can't be used: {error}\n"
                "Fix or remove it."
            ) from error
    compared = min(COMPARED_IMAGES, len(chosen) // 2)
    return Calibration(_with_corrupted(chosen[compared:], seed), chosen[:compared])


def _sample(split: datasets.Dataset, most: int, seed: int) -> list[Image.Image]:
    rows = np.random.default_rng(seed).permutation(len(split))[:most]
    return [open_image(row) for row in split.select(np.sort(rows))]


def _with_corrupted(images: Sequence[Image.Image], seed: int) -> list[Image.Image]:
    """Return the images, one in `CORRUPTED_EVERY` of them corrupted as in training."""
    changed = list(images)
    for number in range(0, len(changed), CORRUPTED_EVERY):
        levels: torch.Tensor = functional.pil_to_tensor(changed[number]) / 255
        corrupted = to_bytes(corrupt_randomly(levels, seed + number))
        changed[number] = functional.to_pil_image(corrupted)
    return changed
