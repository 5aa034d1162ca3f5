"""The public link of Gradio: made only if asked for, and served like the local address."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from space.app import build_app, launch
from space.demo import Demo
from space.inference.predictor import Predictor
from space.server.configuration import StartError
from space.server.uploads import UploadFolder
from tests.support.running_space import free_port

# Gradio leaves its sockets and event loop to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
LINK = "https://1f2e.gradio.live"


@contextmanager
def built_app(package: Path, folder: Path) -> Iterator[tuple[gr.Blocks, UploadFolder]]:
    uploads = UploadFolder(folder / "uploads")
    app = build_app(Demo(Predictor(package), "local-dir:published", uploads))
    yield app, uploads
    app.close(verbose=False)
    uploads.remove()
    del app
    gc.collect()


def page_at(port: int, host: str) -> int:
    """Return the status of the page for a request that names a host."""
    url = f"http://127.0.0.1:{port}"
    return httpx.get(url, headers={"host": host}, trust_env=False).status_code


@pytest.fixture
def tunnels(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The local ports that tunnels were opened to; no tunnel is opened."""
    ports: list[int] = []

    def open_tunnel(*, local_port: int, **_: Any) -> str:
        ports.append(local_port)
        return LINK

    monkeypatch.setattr("gradio.networking.setup_tunnel", open_tunnel)
    return ports


def test_no_link_without_the_variable(package: Path, tmp_path: Path, tunnels: list[int]) -> None:
    port = free_port()
    with built_app(package, tmp_path) as (app, uploads):
        assert launch(app, uploads, port) == f"http://127.0.0.1:{port}"
        assert page_at(port, "1f2e.gradio.live") == 421
    assert tunnels == []


def test_link_and_local_address_are_both_served(
    package: Path, tmp_path: Path, tunnels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_SHARE", "True")
    port = free_port()
    with built_app(package, tmp_path) as (app, uploads):
        assert launch(app, uploads, port) == LINK
        statuses = [page_at(port, host) for host in ("1f2e.gradio.live", "localhost", "evil.live")]
    assert statuses == [200, 200, 421]
    assert tunnels == [port]


def test_a_link_that_fails_is_an_error(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> str:
        raise RuntimeError("no connection")

    monkeypatch.setattr("gradio.networking.setup_tunnel", fail)
    monkeypatch.setenv("GRADIO_SHARE", "True")
    with (
        built_app(package, tmp_path) as (app, uploads),
        pytest.raises(StartError, match=r"share link"),
    ):
        launch(app, uploads, free_port())
