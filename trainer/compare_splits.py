"""Compare splits, or training on some sources: `python trainer/compare_splits.py --help`."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from trainer.cli.command import run_command
from trainer.cli.flags import Command, given_flags, read_flags
from trainer.cli.run_settings import defaults, started_or_resumed
from trainer.cli.trained_folder import check_settings, trained_folder
from trainer.config import run_folder
from trainer.config.preset_file import replaced_preset
from trainer.config.rules import check_names_one_class
from trainer.config.settings import TrainConfig
from trainer.data.folders.location import find_sources
from trainer.errors import ConfigError
from trainer.monitoring.phases import PHASES, run_phases

# Run as a command, the name of this module is __main__, which logs warnings only.
logger = logging.getLogger("trainer.compare_splits")

COMMAND = Command(
    "compare_splits.py",
    "Train on a random and on a grouped split, and print how much they differ.",
    "--data-dir my_images --folds 5",
)
SPLITS = ("random", "grouped")


@dataclass(frozen=True)
class SplitsConfig:
    """Settings of `trainer/compare_splits.py`: what to compare, and the options of `train.py`."""

    leave_source_out: bool = False
    """Train on each --data-dir alone and on all but one, and test each model on all of them."""
    train: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def main(arguments: list[str]) -> None:
    """Train several times with the options of `train.py`; print a table of the results.

    The same command resumes an interrupted comparison.
    """
    config = _read(arguments)
    check_names_one_class(config.train.data, COMMAND.name)
    try:
        (_compare_sources if config.leave_source_out else _compare_splits)(config.train)
    except KeyboardInterrupt:
        logger.warning(
            "The comparison is not finished. The same command resumes it; finished runs are not "
            "trained again."
        )
        raise


def _read(arguments: list[str]) -> SplitsConfig:
    arguments, preset = replaced_preset(arguments)
    given = given_flags(arguments, SplitsConfig)
    return read_flags(arguments, COMMAND, SplitsConfig(train=defaults(given, preset)), given)


def _compare_splits(config: TrainConfig) -> None:
    """Compare a random and a grouped split; the data's own splits are joined first."""
    settings = {split: _on_split(config, split) for split in SPLITS}
    folders = _train(config, "splits", settings)
    # Imported late: --help and wrong options need not wait for them.
    from model_card.schema.report import Report
    from model_card.split_table import split_table

    print(split_table(*(Report.read(folders[split]) for split in SPLITS)))


def _compare_sources(config: TrainConfig) -> None:
    """Compare models of some sources only on the same test images of all sources."""
    if config.data.train_on:
        raise ConfigError("--leave-source-out chooses --train-on itself; leave --train-on out.")
    names = [source.name for source in find_sources(config.data)]
    if len(names) < 2:
        raise ConfigError("--leave-source-out needs two sources: give --data-dir several times.")
    from model_card.schema.report import Report
    from trainer.comparison.source_matrix import MATRIX_FILE, source_matrix

    chosen = _chosen_sources(names)
    settings = {
        folder: replace(config, data=replace(config.data, train_on=sources))
        for folder, sources in chosen.items()
    }
    folders = _train(config, "sources", settings, (MATRIX_FILE,))
    command = config.command().replace("train.py", f"{COMMAND.name} --leave-source-out", 1)
    reports = {folder: (chosen[folder], Report.read(folders[folder])) for folder in chosen}
    matrix = source_matrix(reports, command)
    print(matrix.markdown())
    logger.info("Result: %s", matrix.write(_folder(config, "sources") / MATRIX_FILE))


def _chosen_sources(names: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the sources to train on, by the folder of the run."""
    chosen: dict[str, tuple[str, ...]] = {f"only-{n}": (name,) for n, name in enumerate(names, 1)}
    if len(names) > 2:
        for number, name in enumerate(names, 1):
            chosen[f"without-{number}"] = tuple(other for other in names if other != name)
    return chosen | {"all": tuple(names)}


def _folder(config: TrainConfig, what: str) -> Path:
    return config.run.run_dir or Path("runs") / f"{what}-{config.model.model.replace('/', '_')}"


def _train(
    config: TrainConfig,
    what: str,
    settings: Mapping[str, TrainConfig],
    outputs: tuple[str, ...] = (),
) -> dict[str, Path]:
    """Train each of the runs below one folder; return their published folders."""
    folder = _folder(config, what)
    run_folder.check_only(folder, [*settings, *outputs])
    runs = {name: started_or_resumed(each, folder / name) for name, each in settings.items()}
    # Check all before the first one trains: another may be refused.
    for given in runs.values():
        check_settings(given)
    PHASES.plan(
        [
            phase
            for name, given in runs.items()
            for phase in run_phases(
                given.data, given.run.run_dir, f"{name} split" if what == "splits" else name
            )
        ]
    )
    return {name: trained_folder(given) for name, given in runs.items()}


def _on_split(config: TrainConfig, split: str) -> TrainConfig:
    data = replace(config.data, resplit=not config.data.folds, random_split=split == "random")
    return replace(config, data=data)


def command() -> int:
    """Run as a command of its own; return the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(command())
