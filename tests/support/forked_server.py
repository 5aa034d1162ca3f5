"""A server of `WarmProcess` that is a fork of a worker of pytest-xdist, which has imported all.

A new server would import torch, gradio and the trainer again, for eleven seconds of computing.
"""

from __future__ import annotations

import functools
import gc
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from multiprocessing import forkserver, resource_tracker, util
from pathlib import Path
from typing import Any
from unittest import mock

# What Python ignores by itself.
IGNORED = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def start() -> None:
    """Import what the server needs and fork it; this process may have changed nothing yet."""
    before = list(warnings.filters)
    from tests.support import warm_process  # noqa: F401, PLC0415 -- not for every test run

    of_libraries = [entry for entry in warnings.filters if entry not in before]
    # Killed processes leave semaphores behind, which it deletes; no test looks at its warning.
    with mock.patch.dict(os.environ, PYTHONWARNINGS="ignore"):
        resource_tracker.ensure_running()
    fork = functools.partial(_fork, of_libraries)
    with mock.patch.object(util, "spawnv_passfds", fork):
        forkserver.ensure_running()


def _fork(filters: list[Any], _: str, words: Sequence[str], files: Sequence[int]) -> int:
    """Do in a fork what `python -c CODE` does; return its number. Only these files stay open."""
    with warnings.catch_warnings():
        # The threads of this process wait for requests; the fork needs none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    try:
        _leave(filters, files)
        exec(words[-1], {})  # noqa: S102 -- as `python -c` does
    finally:
        os._exit(1)


def _leave(filters: list[Any], files: Sequence[int]) -> None:
    """Drop what this process has of the one that it was forked from, and of pytest."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in [int(file.name) for file in Path("/dev/fd").iterdir()]:
        # Not closed: whatever holds the number could close another file later.
        if number > 2 and number not in {nothing, *files}:
            os.dup2(nothing, number, inheritable=False)
    os.close(nothing)
    # As Python opens them where no terminal is.
    sys.stdout = os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
    # The fork was made while its process held it.
    state: Any = forkserver._forkserver
    state._lock = threading.Lock()
    warnings.resetwarnings()
    for category in IGNORED:
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("default", category=DeprecationWarning, module="__main__")
    active: Any = warnings.filters
    active[:0] = filters
    gc.enable()
