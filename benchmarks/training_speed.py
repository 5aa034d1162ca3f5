"""Training images a second: this program, timm's `train.py`, transformers' example, on equal terms.

All three train the same architecture from random weights on the same drawn images, with the same
batch and size, each as a user starts it: from the command line. The yardstick is one for all, and
none of their own: the time of a longer run less that of a shorter one, so that neither start-up nor
export count, but loading, augmenting and the few validation images do.

Needs two scripts that are no packages: `train.py` of
https://github.com/huggingface/pytorch-image-models and
`examples/pytorch/image-classification/run_image_classification.py` of
https://github.com/huggingface/transformers; and `pip install transformers`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
import tyro

from trainer import machine
from trainer.drawn_samples import write_samples

VALIDATION_PER_CLASS = 2
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Settings:
    """Training images a second, beside timm's and transformers' own scripts."""

    timm_script: Path
    """train.py of a checkout of timm."""
    transformers_script: Path
    """run_image_classification.py of a checkout of transformers."""
    transformers_model: Path
    """Folder with config.json, weights and preprocessor_config.json of the same architecture."""
    model: str = "convnext_atto"
    """timm's name of the architecture."""
    batch_size: int = 16
    """Images in a step."""
    image_size: int = 224
    """Side in pixels."""
    train_per_class: int = 40
    """Drawn training images of each of six classes."""
    epochs: tuple[int, int] = (1, 3)
    """Of the shorter and of the longer run."""


@dataclass(frozen=True)
class Contender:
    """A program and its flags.

    Attributes:
        command: returns the command line that trains so many epochs into a folder.
    """

    name: str
    command: Callable[[int, Path], list[str]]


def main(settings: Settings) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_samples(
            folder / "images",
            train_per_class=settings.train_per_class,
            test_per_class=VALIDATION_PER_CLASS,
        )
        # This program takes its own test part; the others validate on these images.
        shutil.copytree(folder / "images" / "test", folder / "images" / "validation")
        images = 6 * settings.train_per_class
        print(
            f"{machine.accelerator_name(_device()) or machine.processor_name()}, "
            f"{machine.core_count()} cores, {time.strftime('%d %B %Y')}; {settings.model}, "
            f"batches of {settings.batch_size} at {settings.image_size} px, {images} images; torch "
            f"{version('torch')}, timm {version('timm')}, transformers {version('transformers')}.\n"
        )
        print("| program | images a second | ours is | peak memory, GB |")
        print("| --- | --: | --: | --: |", flush=True)
        ours = None
        for contender in contenders(settings, folder / "images"):
            rate, memory_gb = images_per_second(contender, settings, images, folder)
            ours = ours or rate
            print(
                f"| {contender.name} | {rate:.1f} | {ours / rate:.2f} × | {memory_gb:.2f} |",
                flush=True,
            )


def contenders(settings: Settings, images: Path) -> list[Contender]:
    """Return ours first, then each of the others as it comes and at its best."""
    size, batch = str(settings.image_size), str(settings.batch_size)
    device = _device().type

    def ours(epochs: int, output: Path) -> list[str]:
        return [
            *(str(ROOT / "trainer" / "train.py"), "--data-dir", str(images)),
            *("--model", settings.model, "--no-pretrained", "--image-size", size),
            *("--batch-size", batch, "--epochs", str(epochs), "--run-dir", str(output)),
        ]

    def timm(*flags: str) -> Callable[[int, Path], list[str]]:
        return lambda epochs, output: [
            *(str(settings.timm_script), "--data-dir", str(images), "--model", settings.model),
            *("--num-classes", "6", "--img-size", size, "--batch-size", batch),
            *("--epochs", str(epochs), "--warmup-epochs", "0", "--cooldown-epochs", "0"),
            *("--sched-on-updates", "--device", device, "--output", str(output), *flags),
        ]

    def transformers(*flags: str) -> Callable[[int, Path], list[str]]:
        return lambda epochs, output: [
            *(str(settings.transformers_script), "--train_dir", str(images / "train")),
            *("--validation_dir", str(images / "validation"), "--do_train", "--do_eval"),
            *("--model_name_or_path", str(settings.transformers_model)),
            *("--remove_unused_columns", "False", "--per_device_train_batch_size", batch),
            *("--num_train_epochs", str(epochs), "--output_dir", str(output)),
            *("--eval_strategy", "epoch", "--report_to", "none", *flags),
        ]

    fast = ("--amp", "--amp-dtype", "bfloat16", "--channels-last")
    bf16 = ("--bf16", "True", *(("--use_cpu", "True") if device == "cpu" else ()))
    workers = str(machine.core_count())
    return [
        Contender("ours", ours),
        Contender("timm, defaults", timm()),
        Contender(
            "timm, bf16, channels_last, no prefetcher, no workers",
            timm(*fast, "--no-prefetcher", "--workers", "0"),
        ),
        Contender(
            f"timm, bf16, channels_last, {workers} workers", timm(*fast, "--workers", workers)
        ),
        Contender("transformers, defaults", transformers()),
        Contender("transformers, bf16", transformers(*bf16)),
        Contender(
            f"transformers, bf16, {workers} workers",
            transformers(*bf16, "--dataloader_num_workers", workers),
        ),
    ]


def images_per_second(
    contender: Contender, settings: Settings, images: int, folder: Path
) -> tuple[float, float]:
    """Return the rate, and the largest process's peak memory in GB."""
    seconds, memory_gb = [], 0.0
    for epochs in settings.epochs:
        output = folder / "output"
        print(f"{contender.name}, {epochs} epochs …", file=sys.stderr)
        start = time.monotonic()
        memory_gb = max(memory_gb, run(contender.command(epochs, output)))
        seconds.append(time.monotonic() - start)
        shutil.rmtree(output, ignore_errors=True)
    fewer, more = settings.epochs
    return images * (more - fewer) / (seconds[1] - seconds[0]), memory_gb


def run(command: list[str]) -> float:
    """Run a Python script; return its peak memory in GB.

    Raises:
        SystemExit: it failed; what it said is printed.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )
        # Unlike subprocess's own waiting, it tells the memory of this process alone.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{output.read().decode()}")
    return usage.ru_maxrss / 1e6


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    main(tyro.cli(Settings))
