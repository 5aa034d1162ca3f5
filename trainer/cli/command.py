"""What the commands share: options, messages on stderr, errors in words, exit codes."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from pathlib import Path

from trainer.cli.flags import Command, given_flags, read_flags
from trainer.config import run_folder
from trainer.config.paths import check_paths
from trainer.config.run_folder import State
from trainer.config.settings import FACTS, PRESETS, PushConfig, TrainConfig
from trainer.data.folders.location import find_source
from trainer.errors import ConfigError, UserError
from trainer.runtime.interruption import Stopped, stop_signals_raised
from trainer.runtime.library_caches import replace_unwritable_caches
from trainer.text.terminal import PrintableFormatter, terminal_safe

logger = logging.getLogger(__name__)

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def run_command(command: Callable[[list[str]], None]) -> int:
    """Run a command on this process's arguments and return its exit code.

    User errors are printed without a traceback.
    """
    _open_closed_streams()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # Under `accelerate launch` the first process speaks for all.
    first = os.environ.get("RANK", "0") == "0"
    logging.getLogger("trainer").setLevel(logging.INFO if first else logging.ERROR)
    # It prints its warnings itself; without this they would appear twice.
    logging.getLogger("huggingface_hub").propagate = False
    logging.getLogger("huggingface_hub.utils._http").addFilter(_one_line_a_retry)
    # It lists, by the hundred, tensors that a file has beside those of the model; the ones that are
    # missing are reported by `backbone`.
    logging.getLogger("timm").setLevel(logging.ERROR)
    limit_spinning(os.environ)
    replace_unwritable_caches(os.environ)
    # Bars belong on a terminal; in a log file they are noise.
    if not sys.stderr.isatty():
        # Read when these libraries are imported, which takes too long to be done here.
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    try:
        code = _exit_code(command)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads the output any more; without this, Python complains when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_USER_ERROR
    return code


def _exit_code(command: Callable[[list[str]], None]) -> int:
    try:
        with stop_signals_raised():
            command(sys.argv[1:])
    except UserError as error:
        print(terminal_safe(f"Error: {error}"), file=sys.stderr)
        return EXIT_USER_ERROR
    except Stopped as stop:
        return stop.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    # --help and --version.
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def limit_spinning(environment: MutableMapping[str, str]) -> None:
    """Set how long OpenMP's threads spin while they wait, unless the user has; before torch loads.

    By default they spin for so long that beside one other busy program training takes several times
    as long (`python -m benchmarks.spinning`).
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environment.keys():
        environment["GOMP_SPINCOUNT"] = "10000"


def read_train_config(arguments: list[str], command: Command) -> TrainConfig:
    """Read the options of `train.py`; with --resume, over the settings of the run.

    Raises:
        ConfigError: settings can't work, or are not those that the run was started with.
    """
    given = given_flags(arguments, TrainConfig)
    config = read_flags(arguments, command, _defaults(given), given)
    run_dir = config.run.run_dir
    if config.run.resume and run_dir is not None:
        saved = TrainConfig.read(run_dir)
        config = _again(read_flags(arguments, command, saved, given), saved, run_dir)
    return config


def read_push_config(arguments: list[str], command: Command) -> PushConfig:
    """Read the options of `push.py`; where training has begun in the run folder, that run counts.

    Raises:
        ConfigError: as for `read_train_config`.
    """
    given = given_flags(arguments, PushConfig)
    config = read_flags(arguments, command, PushConfig(train=_defaults(given)), given)
    # A fixed name, so that the same command finds what it trained when it is given again.
    name = (config.hub.repo_id or config.train.model.model).rpartition("/")[2]
    run_dir = config.train.run.run_dir or Path("runs") / name
    train = replace(config.train, run=replace(config.train.run, run_dir=run_dir))
    own_settings = given.keys() & {flag for flag, _, _ in train.flags()} - {"--run-dir"}
    if _saved_settings_count(run_dir, own_settings):
        saved = TrainConfig.read(run_dir)
        config = read_flags(arguments, command, replace(config, train=saved), given)
        train = _again(config.train, saved, run_dir)
    return replace(config, train=train)


def resumed(given: TrainConfig, saved: TrainConfig, run_dir: Path) -> TrainConfig:
    """Return the settings of a run that is resumed; what has no part in its result may change.

    Raises:
        ConfigError: another setting differs from the one that the run was started with.
    """
    free = {name: getattr(given.run, name) for name in ("workers", "log_with")}
    resumed_run = replace(saved.run, run_dir=run_dir, resume=True, **free)
    unchecked = ["--run-dir", "--resume", "--workers", "--log-with", *FACTS]
    if given.run.find_batch_size:
        # What was found then holds.
        unchecked += ["--find-batch-size", "--batch-size", "--accumulate"]
    changed = [
        f"  {now.flag} is {now}, was {before}"
        for now, before in zip(given.settings(), saved.settings(), strict=True)
        if now.value != before.value and now.flag not in unchecked
    ]
    if changed:
        raise ConfigError(
            f"The run in {run_dir} was started with other settings:\n" + "\n".join(changed) + "\n"
            "Leave these options out to resume it, or name another folder with --run-dir."
        )
    return replace(
        saved,
        run=resumed_run,
        data=replace(saved.data, publish_images=given.data.publish_images),
        model=replace(saved.model, license=given.model.license),
    )


def check_settings(config: TrainConfig) -> None:
    """Check what needs no heavy import: the run folder, the images' place, all other paths.

    Raises:
        UserError: something is not there, or can't be used.
    """
    run_dir = config.run.run_dir
    if run_dir is not None and config.run.resume:
        if run_folder.state_of(run_dir) is State.FINISHED:
            return
    elif run_dir is not None:
        run_folder.check_start(run_dir)
    find_source(config.data)
    check_paths(config)
    # Reading a schema takes half a second, for which a missing folder need not wait.
    from trainer.data.folders.scan import check_layout

    check_layout(config.data)


def trained_folder(config: TrainConfig) -> Path:
    """Return the folder that is ready to publish: at once if the run is finished, else trained.

    Raises:
        UserError: the data, the settings or the Hub stand in the way.
    """
    check_settings(config)
    run_dir = config.run.run_dir
    finished = run_folder.finished_folder(run_dir) if run_dir else None
    if finished and run_dir:
        # It renders cards, which takes a second to load.
        from trainer.publishing.facts import correct_facts
        from trainer.publishing.published import check_published

        check_published(finished)
        logger.info("The run in %s is finished already.", run_dir)
        correct_facts(config, run_dir)
        return finished
    # torch takes seconds to load; --help, wrong options and finished runs need not wait for it.
    from trainer.model.backbone import check_network

    check_network(config.model, config.recipe.batch_size)
    from trainer import run

    return run.train(config)


def is_main_process() -> bool:
    """Return whether this process is the one that prints, of those of `accelerate launch`."""
    if "RANK" not in os.environ:
        return True
    from accelerate import PartialState

    return bool(PartialState().is_main_process)


def _defaults(given: dict[str, str]) -> TrainConfig:
    """Return the settings over which options are read: those of the recipe that --preset names."""
    return TrainConfig(recipe=PRESETS[given.get("--preset", "reference")])


def _saved_settings_count(run_dir: Path, own_settings: set[str]) -> bool:
    """Return whether a run in the folder is to be used, with its settings.

    Before its first checkpoint, a command with settings of its own starts the run again.
    """
    state = run_folder.state_of(run_dir)
    if state is State.UNTRAINED and not own_settings:
        return run_folder.holds_settings(run_dir)
    return state in (State.BEGUN, State.FINISHED)


def _again(given: TrainConfig, saved: TrainConfig, run_dir: Path) -> TrainConfig:
    """Return the settings of a run that is started again or resumed."""
    if run_folder.state_of(run_dir) is State.UNTRAINED:
        return replace(given, run=replace(given.run, run_dir=run_dir, resume=False))
    return resumed(given, saved, run_dir)


def _one_line_a_retry(record: logging.LogRecord) -> bool:
    """Say in a line what the Hub's client says in two, with an address and an error number."""
    message = record.getMessage()
    retry = re.search(r"\[Retry (\d+)/(\d+)\]", message)
    if retry:
        number, last = (int(text) + 1 for text in retry.groups())
        logger.warning("The Hub does not answer; trying again (%d of %d).", number, last)
    return retry is None and "thrown while requesting" not in message


def _open_closed_streams() -> None:
    """Let a command run whose output somebody closed (`>&-`): what it prints goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
