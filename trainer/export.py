"""Export a model for machines without PyTorch: `python trainer/export.py --help`."""

import sys
from dataclasses import dataclass

from trainer.cli.command import run_command
from trainer.cli.flags import Command, given_flags, read_flags
from trainer.config.option_types import Folder, Formats, Text, Texts
from trainer.config.paths import output_problems, raise_problems, shown
from trainer.errors import ConfigError

COMMAND = Command(
    "export.py",
    "Write a model as ONNX, OpenVINO or int8, for machines without PyTorch.",
    "--run-dir runs/first --formats onnx",
)


@dataclass(frozen=True)
class ExportCommandConfig:
    """The model, the formats, and where the files go."""

    model: Text = None
    """Published model: hf-hub:USER/NAME or local-dir:FOLDER; its files go to --output."""
    run_dir: Folder = None
    """Finished run: each format is tested and added to its published folder."""
    formats: Formats = ("onnx",)
    """Formats to write: onnx, openvino, int8; default: onnx."""
    output: Folder = None
    """Folder for the files of --model, and for predict.pyz, which runs them."""
    data_dir: Texts = ()
    """Images: those of the run if they moved; with --model, those that int8 is fitted to."""


def main(arguments: list[str]) -> None:
    """Export a model; print the folder with the files."""
    given = given_flags(arguments, ExportCommandConfig)
    config = read_flags(arguments, COMMAND, ExportCommandConfig(), given)
    _check(config)
    # The libraries take seconds to import; --help and wrong options do not need them.
    if config.run_dir is not None:
        from trainer.exporting.finished_run import export_run

        print(export_run(config.run_dir, config.formats, config.data_dir))
        return
    from trainer.exporting.folder import export_model

    if config.model is None or config.output is None:
        raise ConfigError("Name a model and a folder: --model and --output.")
    print(export_model(config.model, config.formats, config.output, config.data_dir))


def _check(config: ExportCommandConfig) -> None:
    """Check the options that need no model.

    Raises:
        ConfigError: options are missing, or exclude each other.
    """
    problems = []
    if (config.model is None) == (config.run_dir is None):
        problems.append("Name either a published model, --model, or a finished run, --run-dir.")
    if not config.formats:
        problems.append("--formats needs at least one of onnx, openvino and int8.")
    if config.model is not None and config.output is None:
        problems.append("--model needs --output: the folder that the files go to.")
    if config.run_dir is not None and config.output is not None:
        problems.append("--output belongs to --model: a run's files go to its published folder.")
    if config.model is not None and "int8" in config.formats and not config.data_dir:
        problems.append("int8 is fitted to images: name some with --data-dir, or a --run-dir.")
    problems += output_problems("--output", config.output)
    if config.output and config.output.is_dir() and any(config.output.iterdir()):
        problems.append(f"--output {shown(config.output)} is not empty. Name another folder.")
    raise_problems(problems)


def command() -> int:
    """Run as a command of its own; return the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(command())
