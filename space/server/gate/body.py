"""Bodies of requests: read up to a limit, parsed, and replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

TOO_LARGE = "The request is larger than the maximum allowed size."


class RefusedError(Exception):
    """A request is refused.

    Args:
        status: HTTP status of the response.
        message: for the sender.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def parsed(content: bytes, rewrite: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Return a JSON body, rebuilt.

    Raises:
        RefusedError: it is not JSON, or no client needs to send it.
    """
    try:
        return rewrite(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "The page sends no such request.") from error


def with_body(cleaned: dict[str, Any], scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
    """Return a request with another body."""
    body = json.dumps(cleaned).encode()
    headers = MutableHeaders(raw=list(scope["headers"]))
    headers["content-length"] = str(len(body))
    headers["content-type"] = "application/json"
    return {**scope, "headers": headers.raw}, _replayed_receive(body, receive)


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return a request's body.

    Raises:
        RefusedError: it has more than `limit` bytes.
    """
    limited = limited_receive(receive, limit)
    body = b""
    while True:
        message = await limited()
        if message["type"] == "http.disconnect":
            return b""
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


def limited_receive(receive: Receive, limit: int) -> Receive:
    """Return a `receive` that raises RefusedError beyond `limit` bytes."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise RefusedError(413, TOO_LARGE)
        return message

    return limited


def _replayed_receive(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that delivers this body, then further messages."""
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
