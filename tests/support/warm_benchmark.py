"""A benchmark whose processes, too, need not import torch first.

`-m tests.support.warm_benchmark MODULE OPTIONS…`, in a `WarmProcess`, runs a benchmark like
`python -m MODULE OPTIONS…`.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any
from unittest import mock

from benchmarks import killed_run
from tests.support.warm_process import WarmProcess, run_python

_subprocess_run = subprocess.run


class WarmProgram(WarmProcess):
    """What `benchmarks.program` starts: its output goes to files."""

    def __init__(
        self,
        command: list[str | Path],
        stdout: IO[str],
        stderr: IO[str],
        cwd: Path,
        env: dict[str, str],
    ) -> None:
        words = [str(word) for word in command[1:]]
        if words[:2] == ["-m", "torch.distributed.run"]:
            words[:1] = ["-m", "tests.support.warm_launcher"]
        super().__init__(words, cwd, environment=env)
        self._files = stdout, stderr

    def poll(self) -> int | None:
        """Return the exit code of a process that ended; first write what it printed."""
        code = super().poll()
        if code is not None:
            for file, text in zip(self._files, self.communicate(), strict=True):
                file.write(text)
                file.flush()
        return code


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a process as `subprocess.run` does, but fork those of this Python."""
    if command[0] != sys.executable:
        return _subprocess_run(command, **options)
    process = WarmProcess(command[1:], Path(options["cwd"]), environment=options["env"])
    output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode or 0, output, errors)


def start(data_dir: Path, run_dir: Path, *, epochs: int = 6) -> WarmProcess:
    """Start or resume a training that `benchmarks.killed_run` may kill."""
    return WarmProcess(killed_run.command(data_dir, run_dir, epochs=epochs))


if __name__ == "__main__":
    server = multiprocessing.get_context("forkserver")
    with (
        # Its own name alone: other modules start processes as they are.
        mock.patch("benchmarks.program.subprocess", SimpleNamespace(Popen=WarmProgram)),
        # `benchmarks.start_time` calls it in the module that is run.
        mock.patch("subprocess.run", run),
        mock.patch("benchmarks.killed_run.start", start),
        mock.patch("multiprocessing.get_context", lambda method: server),
        # Ask the server that this process comes from; Python 3.11 would start another.
        mock.patch.object(forkserver._forkserver, "ensure_running", lambda: None),
    ):
        run_python(["-m", *sys.argv[1:]])
