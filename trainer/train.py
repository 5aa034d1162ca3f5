"""Fine-tune a timm model on folders of images: `python trainer/train.py --help`."""

import sys

from trainer.command_line import is_main_process, read_train_config, run_command, trained_folder
from trainer.flags import Command

COMMAND = Command(
    "train.py",
    "Train a network on a folder of images, test it, and write its model card.",
    "--data-dir my_images --preset recommended",
)


def main(arguments: list[str]) -> None:
    """Train as the options say; print the folder that is ready to publish."""
    folder = trained_folder(read_train_config(arguments, COMMAND))
    if is_main_process():
        print(folder)


if __name__ == "__main__":
    sys.exit(run_command(main))
