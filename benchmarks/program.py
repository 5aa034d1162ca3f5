"""Run a program in its own process; measure its time and peak memory."""

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
POLL_EVERY_S = 0.5
# The lines of output in an error message.
LAST_LINES = 15


class ProgramError(Exception):
    """A program failed; the message contains its last output."""


@dataclass(frozen=True)
class Finished:
    """A program that ended without error.

    Attributes:
        output: of stdout.
        seconds: of the whole process.
        memory_gb: peak of its process plus the unshared memory of its workers.
    """

    output: str
    seconds: float
    memory_gb: float


def run(command: Sequence[str | Path], folder: Path, **variables: str) -> Finished:
    """Run a program in `folder`, without network access, on all cores.

    Args:
        command: its words.
        folder: an existing folder.
        variables: of the environment, which take precedence.

    Raises:
        ProgramError: it failed.
    """
    environment = offline(folder) | variables
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
            last = f"{output.read()}{errors.read()}".splitlines()[-LAST_LINES:]
            raise ProgramError("\n".join([" ".join(map(str, command)), *last]))
        return Finished(output.read(), seconds, memory_bytes / 1e9)


def offline(folder: Path) -> dict[str, str]:
    """Return the environment of a program that works in `folder`, on all cores."""
    return {
        # A setting of the caller takes precedence, for all programs alike.
        "OMP_NUM_THREADS": str(system.core_count()),
        **os.environ,
        # Packages may lie in folders of their own, too.
        "PYTHONPATH": os.pathsep.join([str(ROOT), *_packages()]),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hf-home"),
    }


def _packages() -> list[str]:
    return [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process; return its peak memory and its workers', in bytes."""
    own = workers = 0
    while process.poll() is None:
        with suppress(psutil.Error, OSError):
            # It may end during the measurement.
            running = psutil.Process(process.pid)
            own = max(own, _peak(running))
            workers = max(
                workers,
                # Memory that they share with it is counted there.
                sum(worker.memory_full_info().uss for worker in running.children(recursive=True)),
            )
        time.sleep(POLL_EVERY_S)
    return own + workers


def _peak(process: psutil.Process) -> int:
    """Return the peak memory of a process so far, in bytes."""
    # Not `resource.getrusage`: on Linux it includes the memory of the parent at the fork.
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
        # A process that is ending has released its memory and has no such line.
        return 1024 * int(found[1]) if found else 0
    resident: int = process.memory_info().rss
    return resident
