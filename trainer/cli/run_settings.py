"""Read the settings of a run: of a new one from flags, of a resumed one with what was saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trainer.cli.flags import Command, asks_for_help, given_flags, read_flags
from trainer.config import run_folder
from trainer.config.groups import ModelConfig
from trainer.config.option_types import expanded
from trainer.config.preset_file import Preset, replaced_preset
from trainer.config.recipe import PRESETS
from trainer.config.run_folder import State
from trainer.config.settings import FACTS, HubConfig, PushConfig, TrainConfig
from trainer.errors import ConfigError


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
