"""Train on a random and on a grouped split: `python trainer/compare_splits.py --help`."""

import logging
import sys
from dataclasses import replace
from pathlib import Path

from trainer.command_line import continued, read_train_config, run_command
from trainer.config import CONFIG_FILE, TrainConfig

logger = logging.getLogger("trainer.compare_splits")


def main(arguments: list[str]) -> None:
    """Train twice with the flags of `train.py`; print a table of what each split promises.

    The data's own parts are put together first. What was stopped goes on with the same command.
    """
    config = read_train_config(arguments)
    # torch takes seconds to load; --help and wrong flags need not wait for it.
    from model_card.report import Report
    from model_card.split_table import split_table
    from trainer import run

    folder = config.run.run_dir or Path("runs") / f"splits-{config.model.model.replace('/', '_')}"
    reports = {}
    for split in ("random", "grouped"):
        logger.info("The %s split:", split)
        reports[split] = Report.read(run.train(_on_split(config, split, folder / split)))
    print(split_table(reports["random"], reports["grouped"]))


def _on_split(config: TrainConfig, split: str, run_dir: Path) -> TrainConfig:
    """Return the settings of one of the two runs, which goes on if it was begun."""
    data = replace(config.data, regroup=not config.data.folds, random_split=split == "random")
    given = replace(config, data=data, run=replace(config.run, run_dir=run_dir, resume=False))
    if not (run_dir / CONFIG_FILE).exists():
        return given
    return continued(given, TrainConfig.read(run_dir), run_dir)


if __name__ == "__main__":
    sys.exit(run_command(main))
