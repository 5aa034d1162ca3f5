"""The command lines that train the same model on the same images: ours, timm's, transformers'."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from timm.data import resolve_model_data_config
from timm.models import save_for_hf

from benchmarks.program import ROOT
from trainer.config.groups import RunConfig
from trainer.model.precision import choose_precision
from trainer.runtime import system
from trainer.synthetic.samples import CLASSES

OURS = "ours"
TIMM_SCRIPT = Path("train.py")
TRANSFORMERS_SCRIPT = Path("examples/pytorch/image-classification/run_image_classification.py")
# transformers' script loads this metric from the Hub unless its working folder contains it.
ACCURACY = ROOT / "trainer" / "evaluation" / "metrics" / "accuracy"


@dataclass(frozen=True)
class Job:
    """The training that all programs do.

    Attributes:
        images: folder with train/, validation/ and test/.
    """

    model: str
    images: Path
    image_size: int
    batch_size: int
    epochs: int


@dataclass(frozen=True)
class Contender:
    """A program and its command line.

    Attributes:
        program: its name, for the table.
        flags: those that differ from its defaults, for the table.
        command: the Python to use, script, all flags.
    """

    program: str
    flags: str
    command: list[str | Path]


def ours(job: Job, output: Path) -> list[Contender]:
    """Return this program at its defaults, and with its network compiled."""
    command: list[str | Path] = [
        *(sys.executable, ROOT / "trainer" / "train.py", "--data-dir", job.images),
        *("--model", job.model, "--no-pretrained", "--image-size", str(job.image_size)),
        *("--batch-size", str(job.batch_size), "--epochs", str(job.epochs)),
        "--run-dir",
    ]
    return [
        Contender(OURS, "", [*command, output / "ours"]),
        Contender(OURS, "--compile", [*command, output / "ours-compiled", "--compile"]),
    ]


def timms(job: Job, output: Path, checkout: Path, device: str) -> list[Contender]:
    """Return timm's own script at its defaults, and with all flags that may make it faster.

    These also switch off its color jitter, so that it augments like the others: one random
    resampling and flips.
    """
    command: list[str | Path] = [
        *(
            sys.executable,
            checkout.absolute() / TIMM_SCRIPT,
            "--data-dir",
            job.images,
            "--val-split",
            "",
        ),
        *("--model", job.model, "--num-classes", str(len(CLASSES))),
        *("--img-size", str(job.image_size), "--batch-size", str(job.batch_size)),
        *("--epochs", str(job.epochs), "--device", device, "--output", output / "timm"),
    ]
    layout, bf16 = "--channels-last --color-jitter 0", "--amp --amp-dtype bfloat16"
    workers = f"--workers {system.core_count()}"
    variants = (
        "",
        f"{layout} --workers 1",
        f"{layout} {workers}",
        f"{layout} {bf16} --workers 1",
        f"{layout} {bf16} {workers}",
        f"{layout} {workers} --torchcompile",
        f"{layout} {bf16} {workers} --torchcompile",
    )
    return _contenders("timm", command, variants)


def transformers(
    job: Job, output: Path, checkout: Path, python: Path, device: str
) -> list[Contender]:
    """Return transformers' example at its defaults, and with all flags that may make it faster."""
    model = write_model(job, output)
    command: list[str | Path] = [
        *(python.absolute(), checkout.absolute() / TRANSFORMERS_SCRIPT, "--do_train"),
        *("--train_dir", job.images / "train", "--validation_dir", job.images / "validation"),
        *("--model_name_or_path", model, "--image_processor_name", model / "processor"),
        *("--remove_unused_columns", "False", "--report_to", "none"),
        *("--per_device_train_batch_size", str(job.batch_size)),
        *("--num_train_epochs", str(job.epochs), "--output_dir", output / "transformers"),
        *(("--use_cpu",) if device == "cpu" else ()),
    ]
    workers = f"--dataloader_num_workers {system.core_count()} --dataloader_persistent_workers"
    variants = (
        "",
        workers,
        "--bf16",
        f"--bf16 {workers}",
        f"{workers} --torch_compile",
        f"--bf16 {workers} --torch_compile",
    )
    return _contenders("transformers", command, variants)


def _contenders(
    program: str, command: list[str | Path], variants: Sequence[str]
) -> list[Contender]:
    """Return a program with each of these flags; without bf16 where it would be emulated.

    Emulated bf16 is more than ten times slower than float32.
    """
    native = choose_precision(RunConfig()) == "bf16"
    return [
        Contender(program, flags, [*command, *shlex.split(flags)])
        for flags in variants
        if native or ("bf16" not in flags and "bfloat16" not in flags)
    ]


def write_model(job: Job, output: Path) -> Path:
    """Write the model for transformers: timm's network with random weights, wrapped.

    Its image processor makes the script resample and flip, and nothing else.
    """
    folder, processor = output / "model", output / "model" / "processor"
    processor.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = timm.create_model(job.model, num_classes=len(CLASSES))
    data_config = resolve_model_data_config(network)
    save_for_hf(network, folder, safe_serialization=True)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    # transformers passes the number of classes itself, and fails if it is here, too.
    config["model_args"].pop("num_classes")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    facts = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": job.image_size, "width": job.image_size},
        "image_mean": data_config["mean"],
        "image_std": data_config["std"],
    }
    (processor / "preprocessor_config.json").write_text(json.dumps(facts), encoding="utf-8")
    if not (output / "accuracy").exists():
        (output / "accuracy").symlink_to(ACCURACY, target_is_directory=True)
    return folder
