"""Fine-tune a timm model on folders of images: `python trainer/train.py --help`."""

import sys

from trainer.command_line import read_train_config, run_command


def main(arguments: list[str]) -> None:
    """Train as the flags say; print the folder that is ready to publish."""
    config = read_train_config(arguments)
    # torch takes seconds to load; --help and wrong flags need not wait for it.
    from trainer import run

    print(run.train(config))


if __name__ == "__main__":
    sys.exit(run_command(main))
