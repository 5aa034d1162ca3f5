"""Start the web demo as its users do, in a process of its own, and stop it afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

import space
from tests.support.warm_process import WarmProcess
from trainer.publishing.hub import upload

SPACE_FOLDER = Path(space.__path__[0])
START_LIMIT_S = 300


def copy_space(folder: Path) -> Path:
    """Copy what is uploaded to a Space into `folder`, which does not exist yet; return its app."""
    upload.copy_space(folder)
    return folder / "app.py"


def space_environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without what could help or disturb the demo."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "MODEL_ID") and not name.startswith("GRADIO_")
    }
    # Without a conversion at each start; tests of the engines ask for theirs.
    ours = {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "ENGINE": "pytorch"}
    return kept | ours | changes


@contextmanager
def running_space(
    app: Path, model_id: str, folder: Path, *, warm: bool = False, **environment: str
) -> Iterator[str]:
    """Run `app` until the block ends.

    Args:
        app: `app.py` of the Space or of a copy.
        model_id: what to serve.
        folder: an existing folder, which becomes the working directory; uploads and the log
            (`space.log`) go there.
        warm: whether it comes from a process that has imported torch and gradio; then the names
            of the Hub are this process's.
        environment: variables to set beside the usual ones.

    Yields:
        The address of the page.
    """
    with running_process(app, model_id, folder, warm=warm, **environment) as (url, _):
        yield url


@contextmanager
def running_process(
    app: Path, model_id: str, folder: Path, *, warm: bool = False, **environment: str
) -> Iterator[tuple[str, subprocess.Popen[bytes] | WarmProcess]]:
    """Run `app` like `running_space`; yield the address of the page and the process."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    variables = space_environment(
        MODEL_ID=model_id,
        GRADIO_SERVER_PORT=str(port),
        GRADIO_TEMP_DIR=str(folder / "uploads"),
        **environment,
    )
    log = folder / "space.log"
    process: subprocess.Popen[bytes] | WarmProcess
    if warm:
        process = WarmProcess([str(app)], folder, environment=variables, log=log)
    else:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, app],
                cwd=folder,
                env=variables,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
    try:
        _wait_until_it_answers(process, url, log)
        yield url, process
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    """Return a port of 127.0.0.1 where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(
    process: subprocess.Popen[bytes] | WarmProcess, url: str, log: Path
) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    # One client, since each new one would read the certificates of the system again.
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                client.get(url).raise_for_status()
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
    raise RuntimeError(f"The Space did not start:\n{log.read_text(encoding='utf-8')}")
