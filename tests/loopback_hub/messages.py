"""Requests to the loopback hub and its answers, free of sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.loopback_hub.accounts import Caller


@dataclass(frozen=True)
class Request:
    """One request; `path` is still percent-encoded, `headers` have lower-case names."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    caller: Caller

    def json(self) -> Any:
        """Return the body, which must be JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusalError(Exception):
    """The hub refuses a request, in the form in which the real one does."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        headers = {"X-Error-Message": message, "Content-Type": "application/json"}
        if code is not None:
            headers["X-Error-Code"] = code
        self.response = Response(status, json.dumps({"error": message}).encode(), headers)


def answer(data: object) -> Response:
    """Return `data` as JSON."""
    return Response(200, json.dumps(data).encode(), {"Content-Type": "application/json"})
