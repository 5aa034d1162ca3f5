"""A launcher of several processes, torchrun or accelerate, whose processes need not import torch.

`-m tests.support.warm_launcher MODULE ARGUMENTS…`, in a `WarmProcess`, runs a launcher like
`python -m MODULE ARGUMENTS…`; each Python process that it starts is forked from it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from typing import Any
from unittest import mock

from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

from tests.support.warm_process import run_python

_FORK = multiprocessing.get_context("fork")
_popen = subprocess.Popen
# What the launcher does when it gets one of these is not for its processes to do.
HANDLED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class ForkedPython:
    """A process forked for `python WORDS…`; its methods are those of `subprocess.Popen`."""

    def __init__(self, words: list[str], env: dict[str, str], *, start_new_session: bool) -> None:
        self.args = words
        self._process = _FORK.Process(target=_become, args=(words, env, start_new_session))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it ends; return its exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode


def _become(words: list[str], environment: dict[str, str], start_new_session: bool) -> None:
    """Become `python WORDS…`, in a process that was forked for it."""
    if start_new_session:
        os.setsid()
    for number in HANDLED:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    run_python(words)


def start(args: Any, **options: Any) -> Any:
    """Start a process as `subprocess.Popen` does, but fork those of this Python."""
    if isinstance(args, str) or args[0] != sys.executable:
        return _popen(args, **options)
    environment = options.pop("env")
    start_new_session = options.pop("start_new_session", False)
    assert not any(options.values()), "a forked process writes where its launcher writes"
    words = [word for word in args[1:] if word != "-u"]
    return ForkedPython(words, environment, start_new_session=start_new_session)


if __name__ == "__main__":
    with (
        mock.patch.object(subprocess_handler, "Popen", start),
        mock.patch("accelerate.commands.launch.subprocess.Popen", start),
    ):
        run_python(["-m", *sys.argv[1:]])
