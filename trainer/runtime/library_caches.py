"""Temporary caches for libraries whose caches are not writable, as in containers without a home.

`datasets` and `evaluate` fail without a cache, sometimes only after training. They read the
location of their caches when they are imported.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

logger = logging.getLogger(__name__)

# The caches of the Hugging Face libraries: variable, and folder in HF_HOME.
HF_CACHES = {
    "HF_ASSETS_CACHE": "assets",
    "HF_DATASETS_CACHE": "datasets",
    "HF_EVALUATE_CACHE": "evaluate",
    "HF_HUB_CACHE": "hub",
    "HF_METRICS_CACHE": "metrics",
    "HF_MODULES_CACHE": "modules",
    "HF_XET_CACHE": "xet",
}
# A full disk accepts an empty file, but no content.
_TRIED_BYTES = 4096
# Deleted when the process ends.
_temporary: list[tempfile.TemporaryDirectory[str]] = []


def replace_unwritable_caches(environment: MutableMapping[str, str]) -> None:
    """Point libraries to a temporary folder if their caches are not writable, with a warning.

    Cached weights and stored tokens are still found.

    Args:
        environment: of the process; it is changed in place.
    """
    home = Path(environment.get("HOME") or Path.home())
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    hf_home = Path(environment.get("HF_HOME") or cache / "huggingface").expanduser()
    wanted = {
        variable: [Path(environment.get(variable) or hf_home / name).expanduser()]
        for variable, name in HF_CACHES.items()
    }
    own = environment.get("MPLCONFIGDIR")
    wanted["MPLCONFIGDIR"] = [Path(own)] if own else [config / "matplotlib", cache / "matplotlib"]
    reasons = {
        variable: found
        for variable, folders in wanted.items()
        if (found := next((r for r in map(_why_unwritable, folders) if r), None))
        # The weights in a read-only cache can still be used.
        and not (variable == "HF_HUB_CACHE" and folders[0].is_dir())
    }
    if not reasons:
        return
    _temporary.append(tempfile.TemporaryDirectory(prefix="strip-defect-caches-"))
    for variable in reasons:
        environment[variable] = str(Path(_temporary[-1].name) / variable.lower())
    first = next(iter(reasons))
    setting = "MPLCONFIGDIR" if first == "MPLCONFIGDIR" else "HF_HOME"
    logger.warning(
        "The cache %s can't be written (%s): this run uses a temporary one. Set %s to a folder "
        "that can be written.",
        wanted[first][0],
        reasons[first],
        setting,
    )


def _why_unwritable(folder: Path) -> str | None:
    """Return why a folder, or its nearest existing parent, is not writable; None if it is."""
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_TRIED_BYTES))
    except OSError as error:
        return error.strerror or type(error).__name__
    return None
