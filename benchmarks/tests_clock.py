"""Run a training script and record the time of its tests after training, whatever its version.

`python tests_clock.py FILE SCRIPT [ARGUMENT ...]` writes JSON to FILE: seconds of wall clock and of
the processor, of this process and its children, from the trained network to the published folder.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any


def main(file: str, *command: str) -> None:
    """Run `command` as if Python had been started with it."""
    script = command[0]
    sys.argv = list(command)
    # As Python does for a script: its own folder comes first; then its checkout.
    sys.path[0] = str(Path(script).resolve().parent)
    sys.path.insert(1, str(Path(script).resolve().parents[1]))
    # Only now: it is the version of the script. Like the script, it first limits how long waiting
    # threads spin.
    importlib.import_module("trainer.cli.command").limit_spinning(os.environ)
    training: Any = importlib.import_module("trainer.training")
    build = training.build_package

    def timed(*arguments: Any) -> None:
        start_s, start_cpu_s = time.perf_counter(), sum(os.times()[:4])
        build(*arguments)
        seconds = {
            "wall_s": time.perf_counter() - start_s,
            "cpu_s": sum(os.times()[:4]) - start_cpu_s,
        }
        Path(file).write_text(json.dumps(seconds), encoding="utf-8")

    training.build_package = timed
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
