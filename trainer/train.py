"""Fine-tune a timm model on folders of images: `python trainer/train.py --help`."""

import sys

from trainer.cli.command import is_main_process, run_command
from trainer.cli.flags import Command
from trainer.cli.run_settings import read_train_config
from trainer.cli.trained_folder import check_settings, trained_folder
from trainer.monitoring.phases import PHASES, run_phases

COMMAND = Command(
    "train.py",
    "Train a network on a folder of images, test it, and write its model card.",
    "--data-dir my_images --preset recommended",
)


def main(arguments: list[str]) -> None:
    """Train with the given options; print the folder that is ready to publish."""
    config = read_train_config(arguments, COMMAND)
    check_settings(config)
    PHASES.plan(run_phases(config.data, config.run.run_dir))
    folder = trained_folder(config)
    if is_main_process():
        from trainer.cli.summary import summary

        print(summary(folder), file=sys.stderr)
        print(folder)


def command() -> int:
    """Run as a command of its own; return the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(command())
