"""How this program was started, so that the commands that it suggests can be run as printed."""

from __future__ import annotations

import sys
from pathlib import Path

# `pip install` makes a command of each script: strip-defects-inspect-data of inspect_data.py.
INSTALLED_PREFIX = "strip-defects-"


def command_line(script: str, processes: int = 1) -> str:
    """Return the beginning of a command line, as this program was started.

    Args:
        script: file name of a command in `trainer/`.
        processes: that train together.
    """
    stem = script.removesuffix(".py")
    if processes > 1:
        target = f"-m trainer.{stem}" if _installed() else f"trainer/{script}"
        return f"accelerate launch --num_processes {processes} {target}"
    return (
        f"{INSTALLED_PREFIX}{stem.replace('_', '-')}"
        if _installed()
        else f"python trainer/{script}"
    )


def space_command_line() -> str:
    """Return the command that serves a model, as this program was started."""
    return "python -m space.app" if _installed() else "python space/app.py"


def _installed() -> bool:
    """Return whether a command of `pip install` was started, and not a script of a checkout."""
    return Path(sys.argv[0]).name.startswith(INSTALLED_PREFIX)
