"""Train on a random and on a grouped split: `python trainer/compare_splits.py --help`."""

import sys
from dataclasses import replace
from pathlib import Path

from trainer.cli.command import run_command
from trainer.cli.flags import Command
from trainer.cli.run_settings import read_train_config, started_or_resumed
from trainer.cli.trained_folder import check_settings, trained_folder
from trainer.config import run_folder
from trainer.config.rules import check_names_one_class
from trainer.config.settings import TrainConfig
from trainer.monitoring.phases import PHASES, run_phases

COMMAND = Command(
    "compare_splits.py",
    "Train on a random and on a grouped split, and print how much they differ.",
    "--data-dir my_images --folds 5",
)
SPLITS = ("random", "grouped")


def main(arguments: list[str]) -> None:
    """Train twice with the options of `train.py`; print a table of both results.

    The data's own splits are joined first. The same command resumes an interrupted comparison.
    """
    config = read_train_config(arguments, COMMAND)
    check_names_one_class(config.data, COMMAND.name)
    folder = config.run.run_dir or Path("runs") / f"splits-{config.model.model.replace('/', '_')}"
    run_folder.check_only(folder, SPLITS)
    # Check both before the first one trains: the second may be refused.
    settings = {split: _on_split(config, split, folder / split) for split in SPLITS}
    for given in settings.values():
        check_settings(given)
    PHASES.plan(
        [
            phase
            for split, given in settings.items()
            for phase in run_phases(given.data, given.run.run_dir, f"{split} split")
        ]
    )
    folders = {split: trained_folder(settings[split]) for split in SPLITS}
    # Imported late: --help and wrong options need not wait for them.
    from model_card.schema.report import Report
    from model_card.split_table import split_table

    print(split_table(*(Report.read(folders[split]) for split in SPLITS)))


def _on_split(config: TrainConfig, split: str, run_dir: Path) -> TrainConfig:
    """Return the settings of one of the two runs, which resumes if its training has started."""
    data = replace(config.data, resplit=not config.data.folds, random_split=split == "random")
    return started_or_resumed(replace(config, data=data), run_dir)


def command() -> int:
    """Run as a command of its own; return the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(command())
