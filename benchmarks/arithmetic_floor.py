"""Training speed compared with the arithmetic floor: the network's multiplications alone.

The floor is the number of operations divided by the rate of a large matrix product, measured in the
same session and in the precision of training. The operations of an image are those of the forward
pass times three: forward, gradient by inputs, gradient by weights. No training reaches the floor:
depthwise convolutions, normalization and activations are limited by memory, and the optimizer,
augmentation and validation come on top. The whole of `train.py` is measured, with the clock of
`benchmarks.training_speed`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
import tyro

from benchmarks.contenders import Job, ours
from benchmarks.measurement import Measurement, number_column, text_column
from benchmarks.program import ProgramError
from benchmarks.training_speed import OTHERS_PER_CLASS, measure
from trainer.config.groups import RunConfig
from trainer.model.cost import forward_operations
from trainer.model.precision import choose_precision
from trainer.synthetic.samples import CLASSES, write_samples

DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PASSES = 3
PRODUCTS = 6


@dataclass(frozen=True)
class Settings:
    """Training against the arithmetic floor. The defaults are the reference recipe, for a GPU."""

    model: str = "convnext_base"
    """timm's name."""
    epochs: int = 50
    """All layers are trained; at least 2, since the first warms up."""
    train_images: int = 1440
    """Drawn, of all six classes together."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 224
    """Side in pixels."""
    matrix_side: int = 4096
    """Of the matrices whose product measures the rate; a large GPU needs 8192."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print the table."""
    precision = choose_precision(RunConfig())
    operations = PASSES * operations_of(settings.model, settings.image_size)
    print("matrix product …", file=sys.stderr)
    rate = matrix_rate(settings.matrix_side, DTYPES[precision])
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary)
        write_samples(
            output / "images",
            train_per_class=settings.train_images // len(CLASSES),
            test_per_class=OTHERS_PER_CLASS,
        )
        (output / "images" / "test").rename(output / "images" / "val")
        write_samples(output / "more", train_per_class=1, test_per_class=OTHERS_PER_CLASS, seed=1)
        (output / "more" / "test").rename(output / "images" / "test")
        job = Job(
            settings.model,
            output / "images",
            settings.image_size,
            settings.batch_size,
            settings.epochs,
        )
        print("training …", file=sys.stderr)
        result = measure(ours(job, output)[0], job, output)
    floor_s = settings.epochs * settings.train_images * operations / rate
    floor, reached = rate / operations, result.images_per_second
    measurement = Measurement(
        [
            text_column("Measure"),
            number_column("Floor", "{:,.1f}"),
            number_column("Ours", "{:,.1f}"),
            number_column("Share of the floor", "{:.0f} %"),
        ],
        f"{settings.model}, all layers, {settings.epochs} epochs of {settings.train_images} "
        f"images at {settings.image_size} px, batches of {settings.batch_size}, "
        f"{'float32' if precision == 'no' else precision}; "
        f"{operations / 1e9:,.2f} billion operations an image, {rate / 1e12:,.2f} trillion a "
        f"second; {result.memory_gb:.2f} GB",
    )
    measurement.add("images per second", floor, reached, 100 * reached / floor)
    share = 100 * floor_s / result.training_s
    measurement.add("seconds in total", floor_s, result.training_s, share)
    measurement.write(settings.json)


def operations_of(model: str, image_size: int) -> int:
    """Return the operations of one image's forward pass; a multiply-add counts as two."""
    with torch.device("meta"):
        network = timm.create_model(model, num_classes=len(CLASSES)).eval()
        return forward_operations(network, (image_size, image_size))


def matrix_rate(side: int, dtype: torch.dtype) -> float:
    """Return the operations per second of the fastest of a few products of square matrices."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(PRODUCTS):
        start = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    # The first warms up; the fastest counts, since other programs can only slow it down.
    return 2 * side**3 / min(seconds)


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings))
    except ProgramError as error:
        sys.exit(str(error))
