"""Fine-tune a timm model on folders of images: `python trainer/train.py --help`."""

import sys

from trainer.command_line import read_train_config, run_command


def main(arguments: list[str]) -> None:
    """Train as the flags say; print the folder that is ready to publish."""
    config = read_train_config(arguments)
    # torch takes seconds to load; --help and wrong flags need not wait for it.
    from accelerate import PartialState

    from trainer import run

    folder = run.train(config)
    if PartialState().is_main_process:
        print(folder)


if __name__ == "__main__":
    sys.exit(run_command(main))
