"""Predict a folder of images with a published model: `python trainer/predict.py --help`."""

import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from model_card.formatting import counted
from space.inference.core.errors import ModelError
from space.inference.core.model_id import check_local_folder
from space.inference.engines.names import EngineName
from trainer.cli.command import run_command
from trainer.cli.flags import Command, given_flags, read_flags, split_operands
from trainer.config.option_types import File, Folder, Text
from trainer.config.paths import cache_problems, output_problems, raise_problems, shown
from trainer.errors import ConfigError
from trainer.prediction.coil.output import CoilOutput, strip_problems
from trainer.prediction.image_files import list_images
from trainer.prediction.options import (
    FORMATS,
    Format,
    format_of,
    growing_path,
    read_condition,
    read_outcomes,
)
from trainer.prediction.watching.options import channel_problems, watch_problems

logger = logging.getLogger("trainer.predict")

COMMAND = Command(
    "predict.py",
    "Predict images: files, folders, patterns, or - for a list on stdin.",
    "coil7/ --model hf-hub:USER/NAME > coil7.csv",
    operands="IMAGES …",
)
# For scripts: the images were predicted, and --fail-on found one.
EXIT_FOUND = 1


@dataclass(frozen=True)
class PredictConfig:
    """The model, and where the answers go."""

    model: Text = None
    """hf-hub:USER/NAME, local-dir:FOLDER, or an exported file, .onnx or .xml."""
    output: File = None
    """Table of answers, .csv, .jsonl or .parquet; default: CSV on stdout."""
    resume: bool = False
    """Continue the table of an interrupted command."""
    where: Text = None
    """Write only these rows, as in verdict=unsure,unknown or label=Scratches."""
    copy_to: Folder = None
    """Copy the images into this folder, sorted by verdict and class."""
    link: bool = False
    """Make symbolic links instead of copies."""
    heatmaps: Folder = None
    """Write each image with a heatmap of its class into this folder."""
    report: File = None
    """Write a web page with all images, to filter and sort."""
    merge_overlaps: bool = False
    """Lay out overlapping images as strips, and count a defect that several show once."""
    strips: File = None
    """Table of the strips and their defects, .csv or .json; needs --merge-overlaps."""
    cache_dir: Folder = None
    """Cache of overlap searches; default: the user's cache folder."""
    baseline: Text = None
    """Report drift: compare with the model's test images (model), or with an earlier table."""
    watch: bool = False
    """Also predict images that appear in the folders later, until Ctrl-C or SIGTERM."""
    webhook: Text = None
    """With --watch: post each row to this address, https://HOST/PATH."""
    mqtt: Text = None
    """With --watch: publish each row, mqtt://[USER@]HOST/TOPIC; reads variable MQTT_PASSWORD."""
    fail_on: Text = None
    """End with exit code 1 if a written row has such a verdict, as in unknown,error."""
    batch_size: int = 16
    """Images in one forward pass."""
    engine: EngineName = "auto"
    """What runs the network; auto takes the fastest that is installed."""


def main(arguments: list[str]) -> int:
    """Predict the images; return 1 if one has a verdict of --fail-on."""
    paths, options = split_operands(arguments, PredictConfig)
    given = given_flags(options, PredictConfig)
    config = read_flags(options, COMMAND, PredictConfig(), given)
    kind = _check(config, paths)
    fail_on = read_outcomes("--fail-on", config.fail_on)
    selection = read_condition(config.where)
    files = [] if config.watch else list_images(paths, sys.stdin)
    found = "" if config.watch else f"{counted(len(files), 'image')}; "
    logger.info("%sloading the model …", found)
    # Products of the decision are small: numpy's threads would only wait for each other, and spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # The libraries take seconds to import; --help and wrong options do not need them.
    from trainer.prediction.drift.batch import BatchDrift
    from trainer.prediction.run.delivery import Delivery
    from trainer.prediction.run.runner import run

    model = config.model or ""
    delivery = Delivery(
        output=config.output,
        kind=kind,
        selection=selection,
        copy_to=config.copy_to,
        link=config.link,
        heatmaps=config.heatmaps,
        report=config.report,
        coil=CoilOutput(config.strips, config.cache_dir) if config.merge_overlaps else None,
    )
    if config.watch:
        from trainer.prediction.watching import watcher

        channels = watcher.channels_of(config.webhook, config.mqtt)
        watcher.watch(
            model, paths, delivery, channels, engine=config.engine, batch_size=config.batch_size
        )
        return 0
    outcome = run(
        model,
        files,
        delivery,
        engine=config.engine,
        batch_size=config.batch_size,
        resume=config.resume,
        compare=partial(BatchDrift.load, name=config.baseline) if config.baseline else None,
    )
    return EXIT_FOUND if any(outcome.verdicts[name] for name in fail_on) else 0


def _check(config: PredictConfig, paths: list[str]) -> Format:
    """Check the options that need no model; return the format of the table.

    Raises:
        ConfigError: an option is missing, or its value can't be used.
    """
    output = config.output
    kind = format_of(output)
    problems = []
    if not paths:
        problems.append("Name the images to predict: files, folders, patterns, or - for stdin.")
    if config.model is None:
        problems.append(
            "--model is missing: hf-hub:USER/NAME, local-dir:FOLDER, or an exported file."
        )
    else:
        problems += _model_problems(config.model)
    if config.batch_size < 1:
        problems.append(f"--batch-size must be at least 1, not {config.batch_size}.")
    if output is None and config.resume:
        problems.append("--resume continues a table: name it with --output.")
    if config.baseline and config.resume and config.where:
        problems.append(
            "--baseline compares all images, but a table with --where lists some of them: leave "
            "out --resume or --where."
        )
    if config.link and config.copy_to is None:
        problems.append("--link needs --copy-to.")
    problems += strip_problems(config.strips, (output, config.report), merged=config.merge_overlaps)
    if kind is None:
        suffixes = ", ".join(f".{name}" for name in FORMATS)
        problems.append(f"--output {shown(output or Path())} has none of the suffixes {suffixes}.")
    elif output is not None and not config.resume:
        problems += [
            f"{shown(file)} exists. Add --resume to continue it, or name another file."
            for file in {output, growing_path(output, kind)}
            if file.exists()
        ]
    problems += _place_problems(config)
    problems += cache_problems(config.cache_dir)
    problems += channel_problems(config.webhook, config.mqtt, config.watch, output)
    if config.watch:
        problems += watch_problems(
            paths,
            output,
            kind,
            resume=config.resume,
            pictures={"--copy-to": config.copy_to, "--heatmaps": config.heatmaps},
            finite={
                "--report": config.report,
                "--baseline": config.baseline,
                "--fail-on": config.fail_on,
                "--merge-overlaps": config.merge_overlaps or None,
            },
        )
    raise_problems(problems)
    if kind is None:
        raise ConfigError("--output has no known format.")
    return kind


def _model_problems(model_id: str) -> Iterator[str]:
    """Yield why a model can't be used, as far as that is known without loading one."""
    try:
        check_local_folder(model_id)
    except ModelError as error:
        yield f"--model: {error}"


def _place_problems(config: PredictConfig) -> Iterator[str]:
    """Yield which files and folders can't be written."""
    for flag, file in (
        ("--output", config.output),
        ("--report", config.report),
        ("--strips", config.strips),
    ):
        yield from output_problems(flag, file.parent if file else None)
        if file and file.is_dir():
            yield f"{flag} {shown(file)} is a folder; a file is needed."
    for flag, folder in (("--copy-to", config.copy_to), ("--heatmaps", config.heatmaps)):
        yield from output_problems(flag, folder)
        if folder and folder.is_dir() and any(folder.iterdir()) and not config.resume:
            yield f"{flag} {shown(folder)} is not empty. Name another folder."


def command() -> int:
    """Run as a command of its own; return the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(command())
