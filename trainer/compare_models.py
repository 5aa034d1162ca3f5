"""Compare networks on the same folds: `python trainer/compare_models.py --help`."""

from __future__ import annotations

import logging
import re
import shlex
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from trainer.cli.command import run_command
from trainer.cli.flags import Command, asks_for_help, given_flags, read_flags
from trainer.cli.run_settings import started_or_resumed, suited_defaults
from trainer.cli.trained_folder import check_settings, trained_folder
from trainer.config import run_folder
from trainer.config.groups import ChecksConfig
from trainer.config.option_types import expanded
from trainer.config.paths import raise_problems
from trainer.config.preset_file import replaced_preset
from trainer.config.rules import check_names_one_class
from trainer.config.settings import TrainConfig
from trainer.data.folders.location import find_sources
from trainer.errors import ConfigError, DataError, HubError, UserError
from trainer.monitoring.phases import PHASES, run_phases
from trainer.text.names import printable

if TYPE_CHECKING:
    from trainer.comparison.abilities import Abilities
    from trainer.comparison.leaderboard import Failure, Leaderboard
    from trainer.comparison.network_result import NetworkResult

# Run as a command, the name of this module is __main__, which logs warnings only.
logger = logging.getLogger("trainer.compare_models")

COMMAND = Command(
    "compare_models.py",
    "Train several networks on the same folds, and rank them.",
    "--models convnext_atto resnet18",
)
OUTPUTS = ("comparison.json", "comparison.md", "index.html")
# A fifth of the images of a single run: the folds together test as many.
ROBUSTNESS_IMAGES = 24


@dataclass(frozen=True)
class CompareConfig:
    """Settings of `trainer/compare_models.py`: the networks, and the options of `train.py`."""

    models: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME …", help_behavior_hint="")] = ()
    """Networks to compare, the baseline first; NAME=FILE starts from a safetensors file."""
    train: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def main(arguments: list[str]) -> None:
    """Train each network with the same options; print the leaderboard.

    The same command resumes an interrupted comparison.
    """
    config = _read(arguments)
    check_names_one_class(config.train.data, COMMAND.name)
    folder = config.train.run.run_dir or Path("runs") / "comparison"
    networks = _networks(config, folder)
    _check_folder(folder, [each.run.run_dir.name for each in networks.values() if each.run.run_dir])
    for network in networks.values():
        check_settings(network)
    PHASES.plan(
        [
            phase
            for name, network in networks.items()
            for phase in run_phases(network.data, network.run.run_dir, name)
        ]
    )
    try:
        _compare(networks, folder, _command_line(config))
    except KeyboardInterrupt:
        logger.warning(
            "The comparison is not finished. The same command resumes it; networks that are "
            "finished are not trained again."
        )
        raise


def _read(arguments: list[str]) -> CompareConfig:
    """Read the options, on top of the preset that suits the weights.

    Raises:
        ConfigError: options are missing, or belong to a single network.
    """
    arguments, preset = replaced_preset(arguments)
    given = given_flags(arguments, CompareConfig)
    default = replace(
        suited_defaults(given, preset), checks=ChecksConfig(robustness_images=ROBUSTNESS_IMAGES)
    )
    if not asks_for_help(arguments):
        raise_problems(_problems(given))
    return read_flags(arguments, COMMAND, CompareConfig(train=default), given)


def _problems(given: dict[str, str]) -> list[str]:
    names = given.get("--models", "").split()
    problems = [
        f"{flag} belongs to a single network: {instead}."
        for flag, instead in (
            ("--model", "name all of them with --models"),
            ("--weights", "write --models NAME=FILE"),
        )
        if flag in given
    ]
    if len(names) < 2:
        problems.append("--models needs at least two networks, the baseline first.")
    folders = [_folder_name(name) for name in names]
    repeated = sorted({n for n, f in zip(names, folders, strict=True) if folders.count(f) > 1})
    if repeated:
        problems.append(f"--models names a network twice: {', '.join(map(printable, repeated))}.")
    return problems


def _folder_name(name: str) -> str:
    return re.sub(r"[^\w.+-]", "_", name.partition("=")[0])


def _networks(config: CompareConfig, folder: Path) -> dict[str, TrainConfig]:
    """Return the settings of each network by its name, those of a started run to be resumed."""
    networks = {}
    for entry in config.models:
        name, _, weights = entry.partition("=")
        model = replace(
            config.train.model,
            model=name,
            weights=Path(expanded(weights)) if weights else None,
            # --no-pretrained means the networks that have no file.
            pretrained=config.train.model.pretrained or bool(weights),
        )
        given = replace(config.train, model=model)
        networks[name] = started_or_resumed(given, folder / _folder_name(name))
    return networks


def _command_line(config: CompareConfig) -> str:
    """Return the command line that repeats the comparison, without folders of this machine."""
    words = []
    for entry in config.models:
        name, _, weights = entry.partition("=")
        words.append(shlex.quote(f"{name}={Path(weights).name}" if weights else name))
    options = config.train.command().partition("train.py")[2]
    if "--robustness-images" not in options:
        options += f" --robustness-images {config.train.checks.robustness_images}"
    return f"python trainer/{COMMAND.name} --models {' '.join(words)}{options}"


def _check_folder(folder: Path, own: list[str]) -> None:
    """Check that a folder holds nothing but runs and outputs of comparisons.

    Raises:
        ConfigError: it has other content, or can't be used.
    """
    earlier = [path.parent.name for path in folder.glob("*/config.json")]
    run_folder.check_only(folder, [*own, *earlier, *OUTPUTS])


def _compare(networks: dict[str, TrainConfig], folder: Path, command: str) -> None:
    # torch takes seconds to import; --help and wrong options do not need it.
    from trainer.comparison.leaderboard import Failure
    from trainer.comparison.page import markdown
    from trainer.comparison.time_left import TimeLeft

    abilities = _checked(networks)
    for name, ability in abilities.items():
        for words in ability.missing:
            logger.warning("%s: %s.", name, words)
    left = TimeLeft(
        {
            name: abilities[name].operations
            for name, config in networks.items()
            if config.run.run_dir and not run_folder.finished_folder(config.run.run_dir)
        }
    )
    results: list[NetworkResult] = []
    failures: list[Failure] = []
    board = None
    for number, (name, config) in enumerate(networks.items(), 1):
        logger.info("Network %d of %d: %s%s", number, len(networks), name, left)
        found = _result(name, config, abilities[name])
        left.end(name)
        if isinstance(found, str):
            logger.error("%s has no result: %s", name, found)
            failures.append(Failure(model=name, reason=found))
        else:
            results.append(found)
        if results:
            board = _written(results, failures, config, folder, command)
    if board is None:
        reasons = "\n".join(f"  {each.model}: {each.reason}" for each in failures)
        raise ConfigError(f"No network has a result:\n{reasons}")
    best = board.rows[0]
    print(markdown(board))
    push = f"python trainer/push.py --run-dir {folder / best.folder} --repo-id USER/NAME"
    logger.info("Page: %s\nPublish %s: %s", folder / "index.html", best.model, push)


def _checked(networks: dict[str, TrainConfig]) -> dict[str, Abilities]:
    """Check each network before the first one is trained; return their abilities.

    Raises:
        ConfigError: one message on all networks that timm does not have, or that can't be trained
            with these settings.
    """
    from trainer.comparison.abilities import abilities_of
    from trainer.model.backbone import check_network

    abilities, problems = {}, []
    for name, config in networks.items():
        try:
            check_network(config.model, config.recipe.batch_size)
        except ConfigError as error:
            problems.append(str(error))
            continue
        except HubError as error:
            # The others can be compared; this one is tried again in its turn.
            logger.warning("%s", error)
        abilities[name] = abilities_of(config.model)
    raise_problems(problems)
    return abilities


def _result(name: str, config: TrainConfig, ability: Abilities) -> NetworkResult | str:
    """Train a network, unless it is finished; return its result, or why there is none.

    Raises:
        DataError: the images can't be used; no other network could use them.
    """
    from space.inference.predictor import ModelError
    from trainer.comparison.cost import measured_cost
    from trainer.comparison.network_result import NetworkResult

    try:
        published = trained_folder(config)
        cost = measured_cost(published)
        return NetworkResult.read(name, published.parent, config.recipe, ability.missing, cost)
    except DataError:
        raise
    except (UserError, ModelError) as error:
        return str(error)
    # Networks fail in their own ways; the comparison of the others must not end.
    except Exception as error:
        logger.exception("%s failed.", name)
        return f"{type(error).__name__}: {error}"


def _written(
    results: list[NetworkResult],
    failures: list[Failure],
    config: TrainConfig,
    folder: Path,
    command: str,
) -> Leaderboard:
    """Write the leaderboard of the networks so far; return it."""
    from trainer.comparison.leaderboard import Leaderboard, ranked
    from trainer.comparison.page import write_pages
    from trainer.runtime import system

    board = Leaderboard(
        command=command,
        source="+".join(source.name for source in find_sources(config.data)),
        folds=config.data.folds,
        images=len(results[0].files),
        groups=len(set(results[0].groups)),
        processor=results[0].facts.cost.processor,
        cores=system.core_count(),
        baseline=results[0].facts.model,
        rows=ranked(results),
        failures=failures,
    )
    board.write(folder)
    write_pages(board, folder)
    return board


def command() -> int:
    """Run as a command of its own; return the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(command())
