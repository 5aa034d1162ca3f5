"""Names of published models: `hf-hub:user/name[@revision]` or `local-dir:path`."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import ModelError, shortened

CONFIG_FILE = "config.json"
# Where a run's folder holds the model.
PUBLISHED = "published"


def split_model_id(model_id: str) -> tuple[str, str]:
    """Return the kind of a model id, `hf-hub` or `local-dir`, and what follows the colon.

    Raises:
        ModelError: the id has neither form.
    """
    kind, _, place = model_id.strip().partition(":")
    if kind not in {"hf-hub", "local-dir"} or not place:
        raise ModelError(
            f"{shortened(model_id, 200)!r} is not a model id; write hf-hub:user/name or "
            f"local-dir:path/to/folder.{_suggested(model_id.strip())}"
        )
    return kind, place


def check_local_folder(model_id: str) -> None:
    """Check, without a library that takes seconds to load, that a local model is there.

    Raises:
        ModelError: `local-dir:` names a folder without the file that each published folder has,
            or the folder of a run, which has one of the same name.
    """
    kind, _, place = model_id.strip().partition(":")
    if kind == "local-dir" and place:
        folder = Path(place).expanduser()
        if not os.path.lexists(folder / CONFIG_FILE):
            raise ModelError(f"{lacking(folder, CONFIG_FILE)}{_suggested(place)}")
        if (folder / PUBLISHED / CONFIG_FILE).is_file():
            raise ModelError(f"{folder} is the folder of a run.{_suggested(place)}")


def lacking(folder: Path, name: str) -> str:
    """Say that a folder is no published model, since it has no such file or does not exist."""
    if not os.path.lexists(folder):
        return f"There is no folder {folder}. Check the path of the model."
    return f"{folder} is not a published model: it has no {name}."


def _suggested(place: str) -> str:
    """Return ` Did you mean …?` for a folder that is a published model, or holds one."""
    for folder in (Path(place) / PUBLISHED, Path(place)):
        try:
            if (folder.expanduser() / CONFIG_FILE).is_file():
                return f" Did you mean local-dir:{shortened(str(folder), 200)}?"
        # A NUL, a name that is too long, the home folder of an unknown user.
        except (OSError, RuntimeError, ValueError):
            break
    return ""
