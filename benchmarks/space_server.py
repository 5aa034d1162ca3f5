"""The Space as its operators start it, for benchmarks that ask it for answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil

from benchmarks.program import ROOT

START_LIMIT_S = 180.0
MEBIBYTE = 2**20


@contextmanager
def served(model_id: str, work: Path, **variables: str) -> Iterator[tuple[str, psutil.Process]]:
    """Serve a model on this machine until the block ends.

    Args:
        model_id: `local-dir:path` or `hf-hub:user/name`.
        work: an existing folder for uploads and the log.
        variables: of the environment, beside the usual ones.

    Yields:
        Its address, and its process.

    Raises:
        RuntimeError: the Space does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", work / "space.log"
    usual = {
        "MODEL_ID": model_id,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(work / "uploads"),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, ROOT / "space" / "app.py"],
            env=os.environ | usual | variables,
            stdout=output,
            stderr=output,
        )
    try:
        _wait(url, process, log)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    with httpx2.Client(trust_env=False) as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                client.get(url).raise_for_status()
            except httpx2.TransportError:
                time.sleep(0.2)
            else:
                return
    raise RuntimeError(f"The Space did not start:\n{log.read_text(encoding='utf-8')}")


def memory_mib(server: psutil.Process) -> float:
    """Return the memory of a server and its decoders, in MiB."""
    total = 0
    for process in (server, *server.children(recursive=True)):
        try:
            total += process.memory_info().rss
        # A decoder that ended in the meantime.
        except psutil.NoSuchProcess:
            continue
    return total / MEBIBYTE


def cpu_s(server: psutil.Process) -> float:
    """Return the CPU time of a server and its decoders, in seconds."""
    used = [each.cpu_times() for each in (server, *server.children(recursive=True))]
    return float(sum(times.user + times.system for times in used))
