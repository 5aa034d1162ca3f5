"""Draw sample images of six surface defects of hot-rolled steel, in the layout of a data folder.

The images replace photographs in the demo and in the tests. They
are drawn from random numbers alone (`trainer/synthetic/defects.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tyro
from PIL import Image
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from trainer.errors import ConfigError, UserError
from trainer.synthetic.brushes import SIZE_PX, Array, Rng
from trainer.synthetic.defects import PAINTERS

__all__ = ["CLASSES", "SIZE_PX", "draw_image", "write_samples"]

CLASSES: tuple[str, ...] = tuple(PAINTERS)
# Each folder and split has its own range of seeds of this length.
_MAX_PER_CLASS = 100_000


def draw_image(label: str, seed: int) -> Image.Image:
    """Draw one 8-bit gray image of a defect; the same label and seed give the same pixels.

    Raises:
        ValueError: `label` is none of `CLASSES`, or `seed` is negative.
    """
    if label not in PAINTERS:
        raise ValueError(f"there is no defect class {label!r}; known are {', '.join(CLASSES)}")
    # The label goes in as numbers, because Python's hash of a string differs from run to run.
    entropy = [*label.encode("utf-8"), seed]
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
    return Image.fromarray(_photograph(PAINTERS[label](rng), rng).astype(np.uint8))


def _photograph(surface: Array, rng: Rng) -> Array:
    """Return a surface as stored by an 8-bit camera as JPEG: whole numbers, 0 to 255."""
    noisy = surface + rng.uniform(0.5, 2.5) * rng.standard_normal(surface.shape)
    exposed = np.clip(noisy, 0, 255)
    coarseness = rng.uniform(1, 5)
    # 64-bit floats, rounded once: this removes differences between processors in the last digit.
    return np.clip(np.rint(_through_jpeg(exposed, coarseness)), 0, 255)


def _through_jpeg(pixels: Array, coarseness: float) -> Array:
    """Quantize the cosine transform of 8×8 blocks like JPEG, coarser for fine detail.

    Not done with a JPEG library because libraries differ in the last bit.
    """
    k = np.arange(8)
    basis = (
        np.cos(np.pi * k[:, None] * (2 * k + 1) / 16)
        * np.where(k == 0, 0.125, 0.25)[:, None] ** 0.5
    )
    blocks = pixels.reshape(SIZE_PX // 8, 8, SIZE_PX // 8, 8).swapaxes(1, 2)
    step = coarseness * (1 + 0.35 * (k[:, None] + k))
    coefficients = step * np.rint(basis @ blocks @ basis.T / step)
    decoded: Array = (basis.T @ coefficients @ basis).swapaxes(1, 2).reshape(pixels.shape)
    return decoded


def write_samples(
    folder: Path, *, train_per_class: int, test_per_class: int, seed: int = 0
) -> None:
    """Draw `folder/train/<Class>/*.png` and `folder/test/<Class>/*.png`, no two images alike.

    Raises:
        ConfigError: the folder is in use, a number is out of range, or nothing can be written.
    """
    counts = {"train": train_per_class, "test": test_per_class}
    for split, count in counts.items():
        if not 1 <= count <= _MAX_PER_CLASS:
            raise ConfigError(
                f"--{split}-per-class is {count}; give a number from 1 to {_MAX_PER_CLASS}."
            )
    if seed < 0:
        raise ConfigError(f"--seed is {seed}; give 0 or a positive number.")
    total = len(CLASSES) * sum(counts.values())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(
                f"{folder} is not empty; name a new folder or remove its content first."
            )
        with (
            # The products are small; thread synchronization would take longer.
            threadpool_limits(1, user_api="blas"),
            tqdm(total=total, desc="drawing", unit="image", leave=False, disable=None) as bar,
        ):
            for index, (split, count) in enumerate(counts.items()):
                first_seed = (2 * seed + index) * _MAX_PER_CLASS
                for label in CLASSES:
                    class_folder = folder / split / label
                    class_folder.mkdir(parents=True)
                    for number in range(count):
                        name = f"{label.lower()}_{number + 1:04d}.png"
                        draw_image(label, first_seed + number).save(class_folder / name)
                        bar.update()
    except OSError as error:
        raise ConfigError(
            f"The images can't be written to {folder}: {error.strerror or error}. "
            "Name another folder."
        ) from error


def main(
    output_dir: Path, train_per_class: int = 100, test_per_class: int = 25, seed: int = 0
) -> None:
    """Draw a folder of sample images, ready for `python trainer/train.py --data-dir`.

    Args:
        output_dir: New or empty folder for the images.
        train_per_class: Training images of each of the six classes.
        test_per_class: Test images of each class.
        seed: Another seed draws other images.
    """
    try:
        write_samples(
            output_dir, train_per_class=train_per_class, test_per_class=test_per_class, seed=seed
        )
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    sys.stderr.write(
        f"Drew {len(CLASSES)} classes × {train_per_class} training and {test_per_class} test "
        f"images into {output_dir}\n"
    )


if __name__ == "__main__":
    tyro.cli(main)
