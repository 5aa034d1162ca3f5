"""All settings of a run: frozen, checked when built, saved beside the run as `config.json`."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field, fields
from pathlib import Path, PureWindowsPath
from typing import Annotated

import tyro
from pydantic import TypeAdapter, ValidationError

from model_card.schema.checksums import seal, unseal
from trainer.config.groups import (
    ChecksConfig,
    DataConfig,
    DecisionConfig,
    ExportConfig,
    ModelConfig,
    RunConfig,
)
from trainer.config.option_types import STRICT, RepoId, repeated
from trainer.config.recipe import PRESETS, RecipeConfig
from trainer.config.rules import Groups, first_problem, problems
from trainer.errors import ConfigError
from trainer.runtime.files import replaced_whole
from trainer.text.names import printable

CONFIG_FILE = "config.json"
# They do not affect a run's result and can be corrected after it is finished.
FACTS = ("--license", "--publish-images")


@dataclass(frozen=True)
class Setting:
    """One option with its value."""

    name: str
    value: object
    default: object
    repeats: bool = False
    """Whether the option is given once for each value."""

    @property
    def flag(self) -> str:
        """The option that sets it."""
        return f"--{self.name.replace('_', '-')}"

    def __str__(self) -> str:
        return _text(self.value)


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `trainer/train.py`.

    Raises:
        ConfigError: one message that lists all invalid settings.
    """

    __pydantic_config__ = STRICT

    data: Annotated[DataConfig, tyro.conf.arg(name="data")] = field(default_factory=DataConfig)
    model: Annotated[ModelConfig, tyro.conf.arg(name="network")] = field(
        default_factory=ModelConfig
    )
    recipe: Annotated[RecipeConfig, tyro.conf.arg(name="training")] = field(
        default_factory=RecipeConfig
    )
    decision: Annotated[DecisionConfig, tyro.conf.arg(name="decision")] = field(
        default_factory=DecisionConfig
    )
    checks: Annotated[ChecksConfig, tyro.conf.arg(name="test")] = field(
        default_factory=ChecksConfig
    )
    export: Annotated[ExportConfig, tyro.conf.arg(name="export")] = field(
        default_factory=ExportConfig
    )
    run: Annotated[RunConfig, tyro.conf.arg(name="run")] = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        found = [*problems(self.groups)]
        if found:
            count = f"{len(found)} settings" if len(found) > 1 else "A setting"
            raise ConfigError(f"{count} can't work:\n" + "\n".join(f"  {each}" for each in found))

    @property
    def groups(self) -> Groups:
        """All groups, in the order of `--help`."""
        return (
            *(self.data, self.model, self.recipe, self.decision, self.checks),
            *(self.export, self.run),
        )

    def settings(self) -> list[Setting]:
        """Return each setting with its value, in the order of `--help`."""
        return [
            Setting(item.name, getattr(group, item.name), item.default, item.name in lists)
            for group in self.groups
            for lists in [repeated(type(group))]
            for item in fields(group)
        ]

    def flags(self) -> list[tuple[str, str, str]]:
        """Return (flag, value, default) of each setting, as text, in the order of `--help`."""
        return [(item.flag, str(item), _text(item.default)) for item in self.settings()]

    def command(self) -> str:
        """Return the command line that starts a run with these settings."""
        words = ["python trainer/train.py"]
        preset = TrainConfig(recipe=PRESETS[self.recipe.preset]).settings()
        for item, start in zip(self.settings(), preset, strict=True):
            same = item.value == (item.default if item.flag == "--preset" else start.value)
            if same or item.flag in ("--resume", "--run-dir"):
                continue
            if isinstance(item.value, bool):
                words.append(item.flag if item.value else item.flag.replace("--", "--no-", 1))
            elif item.repeats and isinstance(item.value, tuple):
                words += [f"{item.flag} {shlex.quote(_text(value))}" for value in item.value]
            elif isinstance(item.value, tuple):
                words.append(f"{item.flag} {item}")
            else:
                words.append(f"{item.flag} {shlex.quote(str(item))}")
        return " ".join(words)

    def write(self, run_dir: Path) -> None:
        """Save the resolved settings as `config.json` in `run_dir`, whole or not at all."""
        with replaced_whole(run_dir / CONFIG_FILE) as partial:
            text = seal(_JSON.dump_json(self).decode())
            partial.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, run_dir: Path) -> TrainConfig:
        """Read the settings that `write` saved.

        Raises:
            ConfigError: the file is missing, was changed, or was written by another version of
                this program.
        """
        file = run_dir / CONFIG_FILE
        try:
            # Reading a pipe would block.
            if file.exists() and not file.is_file():
                raise ConfigError(f"{file} is not a regular file. Remove it.")
            facts = unseal(file.read_text(encoding="utf-8"))
            return _JSON.validate_json(json.dumps(facts))
        except FileNotFoundError as error:
            raise ConfigError(
                f"{run_dir} has no run: there is no {CONFIG_FILE}. Start one without --resume."
            ) from error
        except OSError as error:
            raise ConfigError(f"{file} can't be read: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
            raise ConfigError(
                f"{file} has no settings of this program: {problem}. "
                "Start a new run in another folder."
            ) from error


@dataclass(frozen=True)
class HubConfig:
    """Where the model goes on the Hugging Face Hub.

    Raises:
        ConfigError: a Space is set without a model, or an address instead of a name.
    """

    repo_id: RepoId = None
    """USER/NAME of the model on the Hub; without it, nothing is uploaded."""
    space_id: RepoId = None
    """USER/NAME of a Space that serves the model, to upload as well."""
    private: bool = False
    """Make new repositories private."""
    replace_better: bool = False
    """Replace the published model even if it is better than the new one."""

    def __post_init__(self) -> None:
        if self.space_id and not self.repo_id:
            raise ConfigError("--space-id needs --repo-id: a Space serves a model from the Hub")
        for flag, name in (("--repo-id", self.repo_id), ("--space-id", self.space_id)):
            address = _HUB_ADDRESS.match(name or "")
            if address:
                raise ConfigError(
                    f"{flag} takes a name, not an address: write {flag} "
                    f"{printable(address[1]) if address[1] else 'USER/NAME'}"
                )


@dataclass(frozen=True)
class PushConfig:
    """Settings of `trainer/push.py`: the repositories, and the training if there is no run yet."""

    hub: Annotated[HubConfig, tyro.conf.arg(name="publishing")] = field(default_factory=HubConfig)
    train: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


_JSON = TypeAdapter(TrainConfig)

# A name before a path, as in --data-dir plant=../images.
_NAMED_PLACE = re.compile(r"([^=/\\]+=)(.+)")

# The second group matches the rest of the URL: /tree/main, .git, …
_HUB_ADDRESS = re.compile(
    r"(?:[a-z]+://[^/]*/?|(?:www\.)?(?:huggingface\.co|hf\.co)/)"
    r"(?:(?:models|spaces|datasets)/)?([\w.-]+/[\w.-]+?)?(?:\.git|[/?#].*)?$",
    re.IGNORECASE,
)


def _text(value: object) -> str:
    """Format a setting as on the command line.

    Only the last component of an absolute or upward path is shown: these texts are published, and
    the folders of the machine are private.
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(_text, value)) or "none"
    named = _NAMED_PLACE.match(str(value))
    if named:
        return named[1] + _text(named[2])
    if str(value).startswith(("/", "..", "~")) or "\\" in str(value):
        return PureWindowsPath(str(value)).name
    return str(value)
