"""What the commands share: reading flags, messages on stderr, errors in words, exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import tyro

from trainer.config import CONFIG_FILE, PRESETS, PushConfig, RecipeConfig, TrainConfig
from trainer.errors import ConfigError, DefectError
from trainer.interruption import Stopped, stop_signals_raised
from trainer.terminal_text import PrintableFormatter, printable

_Settings = TypeVar("_Settings", TrainConfig, PushConfig)

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def run_command(command: Callable[[list[str]], None]) -> int:
    """Run a command on this process's arguments and return its exit code.

    What a user can mend is told without a traceback.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("trainer").setLevel(logging.INFO)
    # It prints its warnings itself; without this they would appear twice.
    logging.getLogger("huggingface_hub").propagate = False
    # Bars belong on a terminal; in a log file they are noise.
    if not sys.stderr.isatty():
        # Read when these libraries are imported, which takes too long to be done here.
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    try:
        with stop_signals_raised():
            command(sys.argv[1:])
    except DefectError as error:
        print(printable(f"Error: {error}"), file=sys.stderr)  # noqa: T201 – to people, before the exit
        return EXIT_USER_ERROR
    except Stopped as stop:
        return stop.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def read_train_config(arguments: list[str]) -> TrainConfig:
    """Read the flags of `train.py`; with --resume, the settings of the run that goes on.

    Raises:
        ConfigError: settings can't work, or are not those that the run was started with.
    """
    start = TrainConfig(recipe=chosen_preset(arguments))
    config = _parse(TrainConfig, args=arguments, default=start)
    run_dir = config.run.run_dir
    if not config.run.resume or run_dir is None:
        return config
    saved = TrainConfig.read(run_dir)
    return continued(_parse(TrainConfig, args=arguments, default=saved), saved, run_dir)


def read_push_config(arguments: list[str]) -> PushConfig:
    """Read the flags of `push.py`; where the run folder holds a run, that one goes on.

    Raises:
        ConfigError: as for `read_train_config`.
    """
    start = PushConfig(train=TrainConfig(recipe=chosen_preset(arguments)))
    config = _parse(PushConfig, args=arguments, default=start)
    # A fixed name, so that the same command finds what it trained when it is given again.
    name = (config.hub.repo_id or config.train.model.model).rpartition("/")[2]
    run_dir = config.train.run.run_dir or Path("runs") / name
    if not (run_dir / CONFIG_FILE).exists():
        train = replace(config.train, run=replace(config.train.run, run_dir=run_dir))
        return replace(config, train=train)
    saved = TrainConfig.read(run_dir)
    given = _parse(PushConfig, args=arguments, default=replace(config, train=saved))
    return replace(given, train=continued(given.train, saved, run_dir))


def _parse(kind: type[_Settings], *, args: list[str], default: _Settings) -> _Settings:
    """Read flags over `default`; --help shows a box with a title for each group."""
    return tyro.cli(kind, args=args, default=default, config=(tyro.conf.OmitArgPrefixes,))


def chosen_preset(arguments: list[str]) -> RecipeConfig:
    """Return the recipe that --preset names, from which other flags are read.

    It is looked for before all else: read together, flags would meet the defaults of another recipe
    and be refused beside them. An unknown name is left to the reading of all flags to refuse.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--preset", nargs="?", default="reference")
    known, _ = parser.parse_known_args(arguments)
    return PRESETS.get(known.preset, RecipeConfig())


def continued(given: TrainConfig, saved: TrainConfig, run_dir: Path) -> TrainConfig:
    """Return the settings of a run that goes on; what does not bear on its result may change."""
    free = {name: getattr(given.run, name) for name in ("workers", "log_with")}
    going_on = replace(saved, run=replace(saved.run, run_dir=run_dir, resume=True, **free))
    unchecked = ["--run-dir", "--resume", "--workers", "--log-with"]
    if given.run.find_batch_size:
        # What was found then holds.
        unchecked += ["--find-batch-size", "--batch-size", "--accumulate"]
    changed = [
        f"  {flag} is {now}, was {before}"
        for (flag, now, _), (_, before, _) in zip(given.flags(), saved.flags(), strict=True)
        if now != before and flag not in unchecked
    ]
    if changed:
        raise ConfigError(
            f"The run in {run_dir} was started with other settings:\n" + "\n".join(changed) + "\n"
            "Leave these flags out to go on with it, or name another folder with --run-dir."
        )
    return going_on
