"""Check a folder of images before training: `python trainer/inspect_data.py --help`."""

import sys
from dataclasses import dataclass

from trainer.cli.command import run_command
from trainer.cli.flags import Command, given_flags, read_flags
from trainer.config.groups import DataConfig, SourceConfig
from trainer.config.option_types import File, Folder
from trainer.config.paths import (
    cache_problems,
    file_problems,
    folder_problems,
    output_problems,
    raise_problems,
)
from trainer.data.folders.location import find_sources
from trainer.errors import ConfigError
from trainer.monitoring.phases import PHASES, inspection_phases

COMMAND = Command(
    "inspect_data.py",
    "Check all images of a folder and report the problems as a web page.",
    "--data-dir my_images",
)


@dataclass(frozen=True)
class InspectConfig(SourceConfig):
    """The images to inspect, and the folder of the report."""

    output_dir: Folder = None
    """Folder of the report; default: runs/inspection-<name of the data>."""
    predictions: File = None
    """predictions.csv of a run, preferably with --folds 5, to find likely label errors."""
    feedback: Folder = None
    """Folder of a web page's corrections, to summarize them in the report."""
    cache_dir: Folder = None
    """Cache of overlap searches; default: the user's cache folder."""


def main(arguments: list[str]) -> None:
    """Inspect the images; print the path of the page."""
    given = given_flags(arguments, InspectConfig)
    config = read_flags(arguments, COMMAND, InspectConfig(), given)
    if not config.data_dir:
        raise ConfigError("--data-dir is missing: name the folder to inspect, or a Hub dataset.")
    data = DataConfig(**config.sources())
    find_sources(data)
    raise_problems(
        [
            *file_problems("--predictions", config.predictions),
            *file_problems("--class-map", data.class_map),
            *output_problems("--output-dir", config.output_dir),
            *folder_problems("--feedback", config.feedback),
            *cache_problems(config.cache_dir),
        ]
    )
    PHASES.plan(inspection_phases(data))
    # The libraries take seconds to import; --help and wrong options do not need them.
    from trainer.inspection import inspector

    page = inspector.run(
        data, config.output_dir, config.predictions, config.cache_dir, config.feedback
    )
    print(page)


def command() -> int:
    """Run as a command of its own; return the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(command())
