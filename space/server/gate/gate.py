"""Filter of the requests to Gradio: only those that the page and its endpoint need, sanitized.

Gradio opens, copies or fetches the files named in a request before it calls a function of ours. So
each request is parsed here first and rebuilt from validated values: a file only as the plain path
of an upload, a URL never.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse

from .. import tools
from ..address import Address, UnknownNameError
from ..inputs import Endpoint, file, files
from ..uploads import UploadFolder
from ..visitors import Visitors
from .body import TOO_LARGE, RefusedError, limited_receive, parsed, read_body, with_body
from .event import Ending, Event

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("space")

API = "/gradio_api/"
MAX_BODY = 64 * 1024
# Of a request that may list `MAX_FILES` files.
MAX_LIST_BODY = 2 * 2**20
# Of a multipart request, in addition to the file itself.
MAX_ENVELOPE = 16 * 1024
JOIN = "queue/join"
# An endpoint's inputs as a list, and by their names.
LISTED = re.compile(r"(?:call|run|api)/(\w+)")
NAMED = re.compile(r"call/v2/(\w+)")
OTHER_POSTS = ("cancel", "reset")
UPLOAD = "upload"
# Routes of Gradio that fetch URLs, or that this page does not use.
CLOSED = re.compile(
    r"/gradio_api/(?:proxy=|stream/|dev/|vibe|deep_link|mcp/.|run-history|profiling)"
)
# The Hub shows a Space in a frame of its own page.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "frame-ancestors 'self' https://huggingface.co https://*.huggingface.co https://*.hf.space"
    ),
}


class Gate:
    """Middleware in front of Gradio.

    Args:
        app: the application that handles accepted requests.
        uploads: of this server.
        events: what each event takes, by its number.
        max_file_bytes: size limit of an upload.
        address: the names of this server.
        visitors: Gradio's records of visitors.
        refuse: returns why the sender of a call of an endpoint gets no answer now, if so; called
            with the endpoint's name, the session, and the sender's address.
    """

    def __init__(
        self,
        app: ASGIApp,
        uploads: UploadFolder,
        events: Mapping[int, Endpoint],
        max_file_bytes: int,
        address: Address,
        visitors: Visitors,
        refuse: Callable[[str, str, str], str | None] = lambda *_: None,
    ) -> None:
        self.app = app
        self.uploads = uploads
        self.events = events
        self.endpoints = {event.api_name: event for event in events.values() if event.api_name}
        self.max_file_bytes = max_file_bytes
        self.address = address
        self.visitors = visitors
        self.refuse = refuse
        self.tool_calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(send)
        try:
            scope = self.address.applied(scope)
            with self._tool_call(scope):
                scope, receive = await self._checked(scope, receive)
                await self.app(scope, receive, exchange.send)
        except RefusedError as refusal:
            await exchange.refuse(refusal.status, refusal.message, scope)
        except UnknownNameError as error:
            await exchange.refuse(421, str(error), scope)
        except OSError as error:
            logger.warning("A request to %.100r failed: %s", scope["path"], error)
            message = "The server can't store the file now. Try again later."
            await exchange.refuse(507, message, scope)
        # Gradio raises many errors on requests that no page sends; one log line is enough.
        except Exception as error:
            kind = type(error).__name__
            logger.warning("A request to %.100r failed: %s: %.200s", scope["path"], kind, error)
            await exchange.refuse(500, "The server could not answer this request.", scope)

    @contextmanager
    def _tool_call(self, scope: Scope) -> Iterator[None]:
        """Count a request to the MCP server as long as it runs.

        Raises:
            RefusedError: too many run.
        """
        number = int(_name(scope) == tools.ROUTE)
        if number and self.tool_calls >= tools.MAX_CALLS:
            raise RefusedError(503, "Too many tools are being called. Try again later.")
        self.tool_calls += number
        try:
            yield
        finally:
            self.tool_calls -= number

    async def _checked(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """Return the request to pass on.

        Raises:
            RefusedError: the request is not allowed.
        """
        path, name = scope["path"], _name(scope)
        if scope["method"] == "GET" and name == tools.ROUTE:
            # What a server without a stream of its own messages answers.
            raise RefusedError(405, "Send MCP messages by POST.")
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            closed = CLOSED.search(path) or (name.startswith("file") and not self._is_upload(name))
            if not closed:
                return scope, receive
        elif scope["method"] == "POST" and name:
            self.visitors.forget()
            if name == UPLOAD:
                return scope, limited_receive(receive, self.max_file_bytes + MAX_ENVELOPE)
            if name == tools.ROUTE:
                content = await read_body(receive, tools.MAX_CALL_BODY)
                cleaned = parsed(content, lambda given: tools.rewritten(self.uploads, given))
                return with_body(cleaned, scope, receive)
            if name == JOIN or name in OTHER_POSTS or self._endpoint(name):
                return await self._cleaned(name, scope, receive)
        raise RefusedError(404, "Not found.")

    def _endpoint(self, name: str, *forms: re.Pattern[str]) -> Endpoint | None:
        """Return the endpoint that a path below `API` calls, in one of the forms of a call."""
        matches = (form.fullmatch(name) for form in forms or (LISTED, NAMED))
        return next((self.endpoints.get(match[1]) for match in matches if match), None)

    def _called(self, name: str, cleaned: dict[str, Any]) -> Endpoint | None:
        """Return what a request calls, by a path or by the number of an event."""
        return self._endpoint(name) or self.events.get(cleaned.get("fn_index", -1))

    def _is_upload(self, name: str) -> bool:
        """Return whether `file=PATH` names an upload."""
        return self.uploads.find(name.partition("=")[2]) is not None

    async def _cleaned(self, name: str, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """Return a request whose body holds only validated values.

        Raises:
            RefusedError: the page sends no such request, or none so large.
        """
        content = await read_body(receive, MAX_LIST_BODY)
        cleaned = parsed(content, lambda given: self._rewritten(name, given))
        called, session = self._called(name, cleaned), cleaned.get("session_hash", "")
        if len(content) > MAX_BODY and not (called and files in called.checks.values()):
            raise RefusedError(413, TOO_LARGE)
        if self.visitors.is_behind(session):
            raise RefusedError(429, "Earlier answers were not read. Load the page again.")
        if called and called.api_name and name not in OTHER_POSTS:
            address = (scope.get("client") or ("",))[0]
            if reason := self.refuse(called.api_name, session, address):
                raise RefusedError(429, reason)
        return with_body(cleaned, scope, receive)

    def _rewritten(self, name: str, given: Any) -> dict[str, Any]:
        """Return the body of a request, rebuilt from validated values.

        Raises:
            ValueError: the page sends no such request.
        """
        if name in OTHER_POSTS:
            return Ending.model_validate(given).model_dump(exclude_none=True)
        if endpoint := self._endpoint(name, NAMED):
            fields = given if isinstance(given, dict) else {}
            named = endpoint.checks.items()
            return {key: check(self.uploads, fields.get(key)) for key, check in named}
        event = Event.model_validate(given)
        if event.fn_index is not None and event.fn_index not in self.events:
            raise ValueError("There is no such event.")
        body = {"event_data": {}} | event.model_dump(exclude_none=True)
        endpoint = self._endpoint(name)
        if endpoint is not None:
            # Gradio must run the event that the inputs are checked for.
            body.pop("fn_index", None)
        elif event.fn_index is not None:
            endpoint = self.events[event.fn_index]
        else:
            raise ValueError("The request names no event.")
        if len(event.data) < len(endpoint.checks):
            raise ValueError("An input is missing.")
        checks = [*endpoint.checks.values(), *repeat(file, len(event.data))]
        return body | {
            "data": [
                check(self.uploads, value) for check, value in zip(checks, event.data, strict=False)
            ]
        }


class _Exchange:
    """Sends a response with our headers, and records whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await self._send(message)

    async def refuse(self, status: int, message: str, scope: Scope) -> None:
        """Send an error message, unless a response has begun."""
        if not self.begun:
            await JSONResponse({"detail": message}, status)(scope, _nothing, self.send)


def _name(scope: Scope) -> str:
    """Return the part of a path below `API`; empty if it is not below."""
    path: str = scope["path"]
    return path.partition(API)[2].removesuffix("/")


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
