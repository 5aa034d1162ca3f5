"""Names of published models: `hf-hub:user/name[@revision]` or `local-dir:path`."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import ModelError, shortened

CONFIG_FILE = "config.json"


def split_model_id(model_id: str) -> tuple[str, str]:
    """Return the kind of a model id, `hf-hub` or `local-dir`, and what follows the colon.

    Raises:
        ModelError: the id has neither form.
    """
    kind, _, place = model_id.strip().partition(":")
    if kind not in {"hf-hub", "local-dir"} or not place:
        raise ModelError(
            f"{shortened(model_id, 200)!r} is not a model id; write hf-hub:user/name or "
            "local-dir:path/to/folder."
        )
    return kind, place


def check_local_folder(model_id: str) -> None:
    """Check, without a library that takes seconds to load, that a local model is there.

    Raises:
        ModelError: `local-dir:` names a folder without the file that each published folder has.
    """
    kind, _, place = model_id.strip().partition(":")
    if kind == "local-dir" and place:
        folder = Path(place).expanduser()
        if not os.path.lexists(folder / CONFIG_FILE):
            raise ModelError(f"{folder} is not a published model: it has no {CONFIG_FILE}.")
