"""Tune the recipe on grouped folds: `python trainer/tune.py --help`."""

from __future__ import annotations

import hashlib
import logging
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from pydantic import Field

from trainer.cli.command import run_command
from trainer.cli.flags import Command, given_flags, read_flags
from trainer.cli.run_settings import suited_defaults
from trainer.cli.trained_folder import check_settings
from trainer.config import run_folder
from trainer.config.paths import nearest_folder, raise_problems, shown, why_not_writable
from trainer.config.preset_file import PRESET_FILE, Preset, replaced_preset
from trainer.config.rules import check_names_one_class
from trainer.config.settings import TrainConfig

if TYPE_CHECKING:
    from accelerate import Accelerator

    from trainer.data.splits.dataset import Images
    from trainer.tuning.fold_training import HeldOut
    from trainer.tuning.search_space import Candidate

# Run as a command, the name of this module is __main__, which logs warnings only.
logger = logging.getLogger("trainer.tune")

COMMAND = Command(
    "tune.py",
    "Search for a better recipe, and check it on folds that no trial used.",
    "--data-dir my_images --minutes 120",
)
OUTPUTS = ("study.db*", "trials", "check", "tuning.json", "preset.json", "*.png")


@dataclass(frozen=True)
class SearchConfig:
    """How long to search, and on which folds."""

    trials: Annotated[int, Field(ge=1, le=100_000)] = 30
    """Number of trials, of all processes that share the folder."""
    minutes: Annotated[float, Field(ge=0)] = 0.0
    """Start no further trial after this many minutes; 0 sets no limit."""
    patience: Annotated[int, Field(ge=1, le=100_000)] = 15
    """End after this many trials without improvement."""
    tuning_folds: Annotated[int, Field(ge=1, le=100)] = 2
    """Number of the --folds that trials validate on; the others check the result."""


@dataclass(frozen=True)
class TuneConfig:
    """Settings of `trainer/tune.py`: the search, and the options of `train.py`."""

    search: Annotated[SearchConfig, tyro.conf.arg(name="search")] = field(
        default_factory=SearchConfig
    )
    train: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def main(arguments: list[str]) -> None:
    """Search, check the best recipe, and print the path of its preset file.

    The same command resumes an interrupted search; several processes may run it at once.
    """
    config = _read(arguments)
    check_names_one_class(config.train.data, COMMAND.name)
    folder = config.train.run.run_dir or Path("runs") / "tuning"
    _check(config, folder)
    # torch takes seconds to import; --help and wrong options do not need it.
    from trainer.model.backbone import check_network

    check_network(config.train.model, config.train.recipe.batch_size)
    try:
        print(_tune(config, folder))
    except KeyboardInterrupt:
        logger.warning("The search is not finished. The same command resumes it.")
        raise


def _read(arguments: list[str]) -> TuneConfig:
    arguments, preset = replaced_preset(arguments)
    given = given_flags(arguments, TuneConfig)
    default = suited_defaults(given, preset)
    default = replace(default, data=replace(default.data, folds=5))
    return read_flags(arguments, COMMAND, TuneConfig(train=default), given)


def _check(config: TuneConfig, folder: Path) -> None:
    """Check options, images and folder before anything is written.

    Raises:
        UserError: something can't be used.
    """
    search, data = config.search, config.train.data
    problems = [
        f"--{name} must be at least {least}, not {value}."
        for name, value, least in (
            ("trials", search.trials, 1),
            ("patience", search.patience, 1),
            ("tuning-folds", search.tuning_folds, 1),
            ("minutes", search.minutes, 0),
        )
        if not value >= least
    ]
    if search.tuning_folds >= data.folds:
        problems.append(
            f"--tuning-folds {search.tuning_folds} leaves none of --folds {data.folds} to check "
            "the result."
        )
    reason = why_not_writable(nearest_folder(folder))
    if reason:
        problems.append(f"--run-dir {shown(folder)} can't be written: {reason}.")
    raise_problems(problems)
    known = [path.name for pattern in OUTPUTS for path in folder.glob(pattern)]
    run_folder.check_only(folder, known)
    check_settings(replace(config.train, run=replace(config.train.run, run_dir=None, resume=False)))


def _tune(config: TuneConfig, folder: Path) -> Path:
    from accelerate import Accelerator

    from trainer.data.splits.dataset import prepare_images
    from trainer.fitting.optimizer import resolve_rate
    from trainer.model import backbone
    from trainer.model.precision import choose_precision
    from trainer.tuning import report
    from trainer.tuning.fold_training import train_fold, tuning_folds
    from trainer.tuning.search_space import Candidate, SearchSpace
    from trainer.tuning.tuner import Budget, OnEpoch, open_study, search

    train, settings = config.train, config.search
    accelerator = Accelerator(mixed_precision=choose_precision(train.run))
    [images] = prepare_images(replace(train.data, folds=0), train.run, None, None)
    folds = tuning_folds(images, train.data, train.run.seed, train.data.folds)
    built = backbone.build(replace(train.model, pretrained=False, weights=None), 2)
    recipe = replace(resolve_rate(train.recipe, built.model, train.model.tune), search_decay=False)
    space = SearchSpace(recipe, train.model)
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(folder, _identity(config, images), train.run.seed)

    def train_on(candidate: Candidate, fold: int, work: Path, on_epoch: OnEpoch) -> float:
        found = train_fold(
            folds[fold], candidate, train.model, train.run, work, accelerator, on_epoch
        )
        return float(found.losses.mean())

    reason = search(
        *(study, space, train_on, settings.tuning_folds, folder),
        Budget(settings.trials, settings.minutes, settings.patience),
    )
    logger.info("The search ends: %s.", reason)
    best = space.candidate(study.best_trial.params)
    preset, tuned = (
        [
            _held_out(config, fold, candidate, folder / "check" / f"{name}-{number}", accelerator)
            for number, fold in enumerate(folds[settings.tuning_folds :], 1)
        ]
        for name, candidate in (
            ("preset", Candidate(recipe, train.model.image_size)),
            (f"trial-{study.best_trial.number}", best),
        )
    )
    found = report.summarize(
        *(study, reason, space.start, settings.tuning_folds, preset, tuned, train.run.seed)
    )
    found.write(folder)
    report.write_figures(study, folder)
    Preset(recipe=best.recipe, image_size=best.image_size).write(folder / PRESET_FILE)
    logger.info("%s", found.sentence)
    return folder / PRESET_FILE


def _held_out(
    config: TuneConfig, fold: Images, candidate: Candidate, work: Path, accelerator: Accelerator
) -> HeldOut:
    """Train a recipe on a check fold; a finished training is not repeated."""
    from trainer.tuning.fold_training import train_fold

    logger.info("Check: %s", work.name)
    return train_fold(fold, candidate, config.train.model, config.train.run, work, accelerator)


def _identity(config: TuneConfig, images: Images) -> str:
    """Return a fingerprint of what all trials share: images, folds, network and preset."""
    free = ("--run-dir", "--resume", "--workers", "--log-with", "--cache-dir")
    # Sorted: a later version may list its options in another order.
    settings = sorted(
        str((each.flag, each.value)) for each in config.train.settings() if each.flag not in free
    )
    settings += [images.digest(), str(config.search.tuning_folds)]
    return hashlib.sha256("\n".join(settings).encode()).hexdigest()


def command() -> int:
    """Run as a command of its own; return the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(command())
