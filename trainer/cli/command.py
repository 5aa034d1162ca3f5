"""Shared by all commands: options, messages on stderr, error reports, exit codes."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from pathlib import Path

from trainer.cli.flags import Command, asks_for_help, given_flags, read_flags
from trainer.config import run_folder
from trainer.config.groups import ModelConfig
from trainer.config.option_types import expanded
from trainer.config.paths import check_paths
from trainer.config.preset_file import Preset, replaced_preset
from trainer.config.recipe import PRESETS
from trainer.config.run_folder import State
from trainer.config.settings import FACTS, HubConfig, PushConfig, TrainConfig
from trainer.data.folders.location import find_source
from trainer.errors import ConfigError, UserError
from trainer.exporting.packages import check_packages
from trainer.runtime.interruption import Stopped, stop_signals_raised
from trainer.runtime.library_caches import replace_unwritable_caches
from trainer.text.terminal import PrintableFormatter, terminal_safe

logger = logging.getLogger(__name__)

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def run_command(command: Callable[[list[str]], int | None]) -> int:
    """Run a command on this process's arguments and return its exit code.

    User errors are printed without a traceback.
    """
    _open_closed_streams()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # Under `accelerate launch` only the first process prints.
    first = os.environ.get("RANK", "0") == "0"
    logging.getLogger("trainer").setLevel(logging.INFO if first else logging.ERROR)
    # The library prints its warnings itself; without this they would appear twice.
    logging.getLogger("huggingface_hub").propagate = False
    logging.getLogger("huggingface_hub.utils._http").addFilter(_one_line_a_retry)
    # timm lists hundreds of tensors that a file has in addition to those of the model; `backbone`
    # reports missing ones.
    logging.getLogger("timm").setLevel(logging.ERROR)
    limit_spinning(os.environ)
    replace_unwritable_caches(os.environ)
    # Progress bars are for a terminal; in a log file they are noise.
    if not sys.stderr.isatty():
        # These libraries read the variables on import, which would take too long here.
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    try:
        code = _exit_code(command)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe; without this, Python prints an error on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_USER_ERROR
    return code


def _exit_code(command: Callable[[list[str]], int | None]) -> int:
    try:
        with stop_signals_raised():
            return command(sys.argv[1:]) or 0
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


def limit_spinning(environment: MutableMapping[str, str]) -> None:
    """Set the spin time of waiting OpenMP threads, unless set; call it before importing torch.

    Threads that spin take time from other busy programs, and from each other beside them
    (docs/results/speed.md).
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environment.keys():
        environment["GOMP_SPINCOUNT"] = "10000"


def read_train_config(arguments: list[str], command: Command) -> TrainConfig:
    """Read the options of `train.py`; with --resume, on top of the settings of the run.

    Raises:
        ConfigError: settings are invalid, or differ from those the run was started with.
    """
    arguments, preset = replaced_preset(arguments)
    given = given_flags(arguments, TrainConfig)
    run_dir = _given_run_dir(given)
    if given.get("--resume") != "yes" or run_dir is None:
        return read_flags(arguments, command, defaults(given, preset), given)
    saved = TrainConfig.read(run_dir)
    return _again(read_flags(arguments, command, saved, given), saved, run_dir)


def read_push_config(arguments: list[str], command: Command) -> PushConfig:
    """Read the options of `push.py`; a run in the run folder is resumed with its settings.

    Raises:
        ConfigError: as for `read_train_config`.
    """
    arguments, preset = replaced_preset(arguments)
    given = given_flags(arguments, PushConfig)
    hub = HubConfig(repo_id=given.get("--repo-id"), space_id=given.get("--space-id"))
    # A fixed name, so that the same command finds its run when it is repeated.
    name = hub.repo_id or given.get("--model", ModelConfig.model)
    run_dir = _given_run_dir(given) or Path("runs") / name.rpartition("/")[2]
    own_settings = given.keys() & {item.flag for item in TrainConfig().settings()} - {"--run-dir"}
    saved = None
    if not asks_for_help(arguments) and _saved_settings_count(run_dir, own_settings):
        saved = TrainConfig.read(run_dir)
    config = read_flags(
        arguments, command, PushConfig(train=saved or defaults(given, preset)), given
    )
    if saved is not None:
        return replace(config, train=_again(config.train, saved, run_dir))
    run = replace(config.train.run, run_dir=run_dir)
    return replace(config, train=replace(config.train, run=run))


def defaults(given: dict[str, str], preset: Preset | None, name: str = "reference") -> TrainConfig:
    """Return the defaults of the recipe that --preset names.

    Args:
        given: the result of `given_flags`.
        preset: from the file that --preset names; None if it names none.
        name: of the preset without the option.
    """
    if preset is not None:
        return TrainConfig(recipe=preset.recipe, model=ModelConfig(image_size=preset.image_size))
    return TrainConfig(recipe=PRESETS[given.get("--preset", name)])


def suited_defaults(given: dict[str, str], preset: Preset | None) -> TrainConfig:
    """Return the defaults as `defaults` does; without --preset, those that suit the weights."""
    from_scratch = given.get("--pretrained") == "no"
    return defaults(given, preset, "from-scratch" if from_scratch else "recommended")


def resumed(given: TrainConfig, saved: TrainConfig, run_dir: Path) -> TrainConfig:
    """Return the settings of a resumed run; only settings that don't affect its result may change.

    Raises:
        ConfigError: another setting differs from the one the run was started with.
    """
    free = {name: getattr(given.run, name) for name in ("workers", "log_with")}
    resumed_run = replace(saved.run, run_dir=run_dir, resume=True, **free)
    unchecked = ["--run-dir", "--resume", "--workers", "--log-with", "--export", *FACTS]
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
        export=given.export,
        data=replace(saved.data, publish_images=given.data.publish_images),
        model=replace(saved.model, license=given.model.license),
    )


def started_or_resumed(config: TrainConfig, run_dir: Path) -> TrainConfig:
    """Return the settings of one of several runs, which resumes if its training has started.

    Raises:
        ConfigError: a setting differs from the one the run was started with.
    """
    given = replace(config, run=replace(config.run, run_dir=run_dir, resume=False))
    if run_folder.state_of(run_dir) in (State.UNFINISHED, State.FINISHED):
        return resumed(given, TrainConfig.read(run_dir), run_dir)
    return given


def check_settings(config: TrainConfig) -> None:
    """Check the run folder, the image folder and all other paths, without heavy imports.

    Raises:
        UserError: a path does not exist or can't be used.
    """
    run_dir = config.run.run_dir
    if run_dir is not None and config.run.resume:
        if run_folder.state_of(run_dir) is State.FINISHED:
            return
    elif run_dir is not None:
        run_folder.check_start(run_dir)
    check_packages(config.export.export)
    find_source(config.data)
    check_paths(config)
    # Importing a schema takes half a second; a missing folder is reported before.
    from trainer.data.folders.scan import check_layout

    check_layout(config.data)


def trained_folder(config: TrainConfig) -> Path:
    """Return the folder to publish: of the finished run, or after training.

    Raises:
        UserError: the data, the settings or the Hub prevent it.
    """
    check_settings(config)
    run_dir = config.run.run_dir
    finished = run_folder.finished_folder(run_dir) if run_dir else None
    if finished and run_dir:
        # Imports the card renderer, which takes a second.
        from trainer.publishing.facts import correct_facts
        from trainer.publishing.published import check_published

        check_published(finished)
        logger.info("The run in %s is finished already.", run_dir)
        correct_facts(
            run_dir, license_id=config.model.license, publish_images=config.data.publish_images
        )
        _export(config, run_dir)
        return finished
    # torch takes seconds to import; --help, wrong options and finished runs do not need it.
    from trainer.model.backbone import check_network

    check_network(config.model, config.recipe.batch_size)
    from trainer import run

    folder = run.train(config)
    if is_main_process():
        _export(config, folder.parent)
    return folder


def _export(config: TrainConfig, run_dir: Path) -> None:
    """Add the formats of --export to the published folder of a finished run."""
    if config.export.export:
        from trainer.exporting.finished_run import export_run

        export_run(run_dir, config.export.export)


def is_main_process() -> bool:
    """Return whether this is the first process of `accelerate launch`, which prints."""
    if "RANK" not in os.environ:
        return True
    from accelerate import PartialState

    return bool(PartialState().is_main_process)


def _given_run_dir(given: dict[str, str]) -> Path | None:
    return Path(expanded(given["--run-dir"])) if "--run-dir" in given else None


def _saved_settings_count(run_dir: Path, own_settings: set[str]) -> bool:
    """Return whether to use the run in the folder, with its settings.

    Before the first checkpoint, a command with other settings starts the run again.
    """
    state = run_folder.state_of(run_dir)
    if state is State.UNTRAINED and not own_settings:
        return run_folder.holds_settings(run_dir)
    return state in (State.UNFINISHED, State.FINISHED)


def _again(given: TrainConfig, saved: TrainConfig, run_dir: Path) -> TrainConfig:
    """Return the settings of a restarted or resumed run."""
    if run_folder.state_of(run_dir) is State.UNTRAINED:
        return replace(given, run=replace(given.run, run_dir=run_dir, resume=False))
    return resumed(given, saved, run_dir)


def _one_line_a_retry(record: logging.LogRecord) -> bool:
    """Shorten the retry messages of the Hub's client to one line."""
    message = record.getMessage()
    retry = re.search(r"\[Retry (\d+)/(\d+)\]", message)
    if retry:
        number, last = (int(text) + 1 for text in retry.groups())
        logger.warning("The Hub does not answer; trying again (%d of %d).", number, last)
    return retry is None and "thrown while requesting" not in message


def _open_closed_streams() -> None:
    """Let a command run with a closed output (`>&-`): its output is discarded."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
