"""Clients that send or read slowly lose their connection; answers that take long do not."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import uvicorn

from space.server import connection
from space.server.connection import TimedConnection

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PATIENCE_S = 0.3
# Sent one by one, these take many times as long.
DROPS = 400
PAUSE_S = 0.01


class ShortPatience(TimedConnection):
    patience_s = PATIENCE_S


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request when it is complete: at `/slow` in drops, at `/large` with many bytes."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/slow":
        for _ in range(10):
            await send({"type": "http.response.body", "body": b"drop", "more_body": True})
            await asyncio.sleep(PATIENCE_S / 3)
    if scope["path"] == "/large":
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    config = uvicorn.Config(
        _answer, port=0, http=ShortPatience, lifespan="off", log_level="warning"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.fixture
def client(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        yield client


def _is_closed_while_it_drips(client: socket.socket, drops: Iterator[bytes]) -> bool:
    try:
        for drop in itertools.islice(drops, DROPS):
            client.sendall(drop)
            time.sleep(PAUSE_S)
    # A close by the server reaches the client as one of these.
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def _answered(client: socket.socket) -> bytes:
    text = b""
    while not text.endswith(b"0\r\n\r\n"):
        received = client.recv(65536)
        assert received, "the server closed the connection in the middle of an answer"
        text += received
    return text


REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n"
BODY = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"", b"G"),
        (b"", b"\r\n"),
        (REQUEST, b"X"),
        (REQUEST, b"X: y\r\n"),
        (BODY, b"x"),
        (CHUNKED, b"1\r\nx\r\n"),
    ],
    ids=["first line", "empty lines", "one header", "many headers", "body", "chunks"],
)
def test_a_request_that_comes_in_drops_is_cut_off(
    client: socket.socket, begin: bytes, drop: bytes
) -> None:
    client.sendall(begin)
    assert _is_closed_while_it_drips(client, itertools.repeat(drop))


def test_a_second_request_that_comes_in_drops_is_cut_off(client: socket.socket) -> None:
    client.sendall(REQUEST + b"\r\n")
    assert b"end" in _answered(client)
    assert _is_closed_while_it_drips(client, itertools.repeat(b"G"))


@pytest.mark.slow
@pytest.mark.parametrize("begin", [b"", b"G", REQUEST, BODY], ids=["", "line", "header", "body"])
def test_a_client_that_sends_nothing_more_is_cut_off(client: socket.socket, begin: bytes) -> None:
    client.sendall(begin)
    with contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""


@pytest.mark.slow
def test_an_answer_that_nobody_reads_is_given_up(client: socket.socket) -> None:
    client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(4 * PATIENCE_S)
    received = 0
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(2**20):
            received += len(part)
    assert received < 64 * 2**20


@pytest.mark.slow
def test_an_answer_may_take_long(client: socket.socket) -> None:
    for _ in range(2):
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert _answered(client).count(b"drop") == 10


@pytest.mark.slow
def test_bytes_earn_time(client: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow line is no attack: the same body in drops, and more time for each of them."""
    monkeypatch.setattr(connection, "LEAST_BYTES_PER_S", 1)
    client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
    assert not _is_closed_while_it_drips(client, iter([b"x"] * 100))
    assert b"end" in _answered(client)


def test_an_endless_body_earns_no_more_time(
    client: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LEAST_BYTES_PER_S", 1)
    monkeypatch.setattr(connection, "MOST_BYTES", 0)
    client.sendall(BODY)
    assert _is_closed_while_it_drips(client, itertools.repeat(b"x"))
