"""A program in a process of its own: what it said, how long it took, how much memory it held."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from trainer.runtime import system

ROOT = Path(__file__).parent.parent
LOOK_EVERY_S = 0.5
# Of what a program said before it failed.
LAST_LINES = 15


class ProgramError(Exception):
    """A program failed; the message holds what it said last."""


@dataclass(frozen=True)
class Finished:
    """A program that came to its end.

    Attributes:
        output: what it wrote to stdout.
        memory_gb: peak of its own process, and of what its workers held beside it.
    """

    output: str
    seconds: float
    memory_gb: float


def run(command: Sequence[str | Path], folder: Path) -> Finished:
    """Run a program to its end, in `folder`, without a network, on all cores.

    Raises:
        ProgramError: it failed.
    """
    environment = {
        # A setting of the caller's counts, and for all programs alike.
        "OMP_NUM_THREADS": str(system.core_count()),
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hf-home"),
    }
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start = time.monotonic()
        process = subprocess.Popen(
            command, stdout=output, stderr=errors, cwd=folder, env=environment
        )
        memory_bytes = _wait(process)
        seconds = time.monotonic() - start
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            said = f"{output.read()}{errors.read()}".splitlines()[-LAST_LINES:]
            raise ProgramError("\n".join([" ".join(map(str, command)), *said]))
        return Finished(output.read(), seconds, memory_bytes / 1e9)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process; return its peak memory and its workers', in bytes."""
    own = workers = 0
    while process.poll() is None:
        with suppress(psutil.Error, OSError):
            # It may end while it is looked at.
            seen = psutil.Process(process.pid)
            own = max(own, _peak(seen))
            workers = max(
                workers,
                # What they share with it is counted there.
                sum(worker.memory_full_info().uss for worker in seen.children(recursive=True)),
            )
        time.sleep(LOOK_EVERY_S)
    return own + workers


def _peak(process: psutil.Process) -> int:
    """Return the most memory that a process has held so far, in bytes."""
    # Not `resource.getrusage`: on Linux it counts what this process held when it started that one.
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
        # A process that is just ending has let go of its memory, and has no such line.
        return 1024 * int(found[1]) if found else 0
    held: int = process.memory_info().rss
    return held
