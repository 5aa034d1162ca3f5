"""Run a training script and record the time of each optimizer step, the same clock for any script.

`python step_clock.py FILE SCRIPT [ARGUMENT ...]` writes one line of seconds per step to FILE when
the script ends. It imports nothing but torch, so that the script finds its own packages.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook


def main(file: str, *command: str) -> None:
    """Run `command` as if Python had been started with it."""
    seconds: list[float] = []

    def note(optimizer: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        seconds.append(time.perf_counter())

    register_optimizer_step_post_hook(note)
    recorded: Any = torch.cuda.CUDAGraph
    replay = recorded.replay

    def noted_replay(graph: Any) -> None:
        replay(graph)
        seconds.append(time.perf_counter())

    # A recorded step runs no hook.
    recorded.replay = noted_replay
    script = command[0]
    sys.argv = list(command)
    # As Python does for a script: its own folder comes first.
    sys.path[0] = str(Path(script).resolve().parent)
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        # Of several processes the first one writes.
        if os.environ.get("RANK", "0") == "0":
            lines = "".join(f"{moment}\n" for moment in seconds)
            Path(file).write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
