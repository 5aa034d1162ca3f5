"""A recipe that tune.py found, as a file that --preset takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainer.config.option_types import expanded
from trainer.config.recipe import PRESETS, RecipeConfig
from trainer.config.rules import first_problem
from trainer.errors import ConfigError
from trainer.runtime.files import replaced_whole
from trainer.text.names import printable

PRESET_FILE = "preset.json"


class Preset(BaseModel):
    """The settings of a preset file; its recipe names the preset that it started from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: RecipeConfig
    image_size: Annotated[int, Field(ge=32, le=2048)]

    def write(self, file: Path) -> None:
        """Write the file, whole or not at all."""
        with replaced_whole(file) as partial:
            partial.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Preset:
        """Read the file.

        Raises:
            ConfigError: it can't be read, or is no preset.
        """
        shown = printable(str(file))
        try:
            if file.exists() and not file.is_file():
                raise ConfigError(f"--preset {shown} is not a regular file.")
            return cls.model_validate_json(file.read_bytes())
        except OSError as error:
            raise ConfigError(f"--preset {shown} can't be read: {error.strerror}.") from error
        except ValidationError as error:
            raise ConfigError(
                f"--preset {shown} has no settings of tune.py: {first_problem(error)}. Name a file "
                f"that tune.py wrote, or one of {', '.join(PRESETS)}."
            ) from error


def replaced_preset(arguments: list[str]) -> tuple[list[str], Preset | None]:
    """Return the arguments with the name of a preset in the place of a preset file.

    A word is a file if it ends in .json, or contains a slash.

    Raises:
        ConfigError: the file can't be read, or is no preset.
    """
    words, found = list(arguments), None
    for place, word in enumerate(words):
        flag, attached, value = word.partition("=")
        if flag != "--preset":
            continue
        at = place if attached else place + 1
        value = value if attached else (words[at] if at < len(words) else "")
        if value.endswith(".json") or "/" in value:
            found = Preset.read(Path(expanded(value)))
            words[at] = f"{flag}={found.recipe.preset}" if attached else found.recipe.preset
    return words, found
