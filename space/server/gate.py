"""What requests reach Gradio: those that the page and its endpoint need, in their plain form.

Gradio opens, copies or fetches what a request names before a function of ours is asked. So each
request is read here first and written again from what is known to be harmless: a file only as the
plain path of an upload, an address never.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse

from .address import Address, UnknownNameError
from .uploads import UploadFolder
from .visitors import Visitors

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("space")

API = "/gradio_api/"
MAX_BODY = 64 * 1024
# Of a multipart request, beside the file itself.
MAX_ENVELOPE = 16 * 1024
EVENTS = ("queue/join", "call/predict", "run/predict", "api/predict")
NAMED_EVENT = "call/v2/predict"
OTHER_POSTS = ("cancel", "reset")
UPLOAD = "upload"
# Parts of Gradio that fetch addresses, or that this page has no use for.
CLOSED = re.compile(r"/gradio_api/(?:proxy=|stream/|dev/|vibe|deep_link|run-history|profiling)")
# The Hub shows a Space inside of its own page.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "frame-ancestors 'self' https://huggingface.co https://*.huggingface.co https://*.hf.space"
    ),
}

Text = Annotated[str, Field(max_length=255)]
Session = Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]


class File(BaseModel):
    """What is passed on of a file in a request."""

    path: str
    orig_name: str | None = None
    meta: dict[str, str] = {"_type": "gradio.FileData"}


class Click(BaseModel):
    """Which example was clicked."""

    model_config = ConfigDict(strict=True)

    index: Annotated[int, Field(ge=0, le=1000)]


class Event(BaseModel):
    """What is passed on of a request for an event."""

    model_config = ConfigDict(strict=True, extra="ignore")

    data: Annotated[list[Any], Field(max_length=8)]
    fn_index: int | None = None
    session_hash: Session | None = None
    trigger_id: int | None = None
    event_data: Click | None = None


class Ending(BaseModel):
    """What is passed on of a request to cancel or to reset an event."""

    model_config = ConfigDict(strict=True, extra="ignore")

    session_hash: Session | None = None
    fn_index: int | None = None
    event_id: Text | None = None


class RefusedError(Exception):
    """A request is not passed on.

    Args:
        status: of the answer.
        words: for who sent it.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Gate:
    """Middleware that stands before Gradio.

    Args:
        app: what answers the requests that pass.
        uploads: of this server.
        events: the numbers of the events that exist.
        max_file_bytes: of an upload.
        address: the names of this server.
        visitors: what Gradio keeps of them.
    """

    def __init__(
        self,
        app: ASGIApp,
        uploads: UploadFolder,
        events: Collection[int],
        max_file_bytes: int,
        address: Address,
        visitors: Visitors,
    ) -> None:
        self.app = app
        self.uploads = uploads
        self.events = events
        self.max_file_bytes = max_file_bytes
        self.address = address
        self.visitors = visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(send)
        try:
            scope, receive = await self._checked(self.address.applied(scope), receive)
            await self.app(scope, receive, exchange.send)
        except RefusedError as refusal:
            await exchange.refuse(refusal.status, refusal.words, scope)
        except UnknownNameError as error:
            await exchange.refuse(421, str(error), scope)
        except OSError as error:
            logger.warning("A request to %.100r failed: %s", scope["path"], error)
            words = "The server can't store the file now. Try again later."
            await exchange.refuse(507, words, scope)
        # Gradio fails in many ways at requests that no page sends; one line is enough for each.
        except Exception as error:
            kind = type(error).__name__
            logger.warning("A request to %.100r failed: %s: %.200s", scope["path"], kind, error)
            await exchange.refuse(500, "The server could not answer this request.", scope)

    async def _checked(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """Return a request as it is passed on.

        Raises:
            RefusedError: it is not.
        """
        path: str = scope["path"]
        _, found, name = path.partition(API)
        name = name.removesuffix("/")
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            closed = CLOSED.search(path) or (name.startswith("file") and not self._is_upload(name))
            if not closed:
                return scope, receive
        elif scope["method"] == "POST" and found:
            self.visitors.forget()
            if name == UPLOAD:
                return scope, _limited(receive, self.max_file_bytes + MAX_ENVELOPE)
            if name in (*EVENTS, NAMED_EVENT, *OTHER_POSTS):
                return await self._cleaned(name, scope, receive)
        raise RefusedError(404, "Not found.")

    def _is_upload(self, name: str) -> bool:
        """Return whether `file=PATH` names an upload."""
        return self.uploads.find(name.partition("=")[2]) is not None

    async def _cleaned(self, name: str, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """Return a request whose body holds only what is known to be harmless.

        Raises:
            RefusedError: it is none of the page's, or larger than any of them.
        """
        try:
            cleaned = self._rewritten(name, json.loads(await _body(receive)))
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, "This request is none of the page's.") from error
        if self.visitors.is_behind(cleaned.get("session_hash", "")):
            raise RefusedError(429, "Earlier answers were not read. Load the page again.")
        body = json.dumps(cleaned).encode()
        headers = MutableHeaders(raw=list(scope["headers"]))
        headers["content-length"] = str(len(body))
        headers["content-type"] = "application/json"
        return {**scope, "headers": headers.raw}, _replayed(body, receive)

    def _rewritten(self, name: str, given: Any) -> dict[str, Any]:
        """Return the body of a request from what is known of it.

        Raises:
            ValueError: it is none of the page's.
        """
        if name in OTHER_POSTS:
            return Ending.model_validate(given).model_dump(exclude_none=True)
        if name == NAMED_EVENT:
            return {"image": self._file(given.get("image") if isinstance(given, dict) else None)}
        event = Event.model_validate(given)
        if event.fn_index is not None and event.fn_index not in self.events:
            raise ValueError("There is no such event.")
        body = {"event_data": {}} | event.model_dump(exclude_none=True)
        return body | {"data": [self._file(value) for value in event.data]}

    def _file(self, value: object) -> dict[str, Any] | None:
        """Return a file as Gradio expects it, or None for anything but an upload."""
        given = value if isinstance(value, dict) else {}
        path = self.uploads.find(given.get("path"))
        if path is None:
            return None
        name = given.get("orig_name")
        shown = name[:255] if isinstance(name, str) else path.name
        return File(path=str(path), orig_name=shown).model_dump()


class _Exchange:
    """Sends an answer with our headers, and knows whether it has begun."""

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

    async def refuse(self, status: int, words: str, scope: Scope) -> None:
        """Answer in words, unless an answer has begun."""
        if not self.begun:
            await JSONResponse({"detail": words}, status)(scope, _nothing, self.send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _body(receive: Receive) -> bytes:
    """Return a request's body.

    Raises:
        RefusedError: no page sends so much.
    """
    limited = _limited(receive, MAX_BODY)
    body = b""
    while True:
        message = await limited()
        if message["type"] == "http.disconnect":
            return b""
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


def _limited(receive: Receive, limit: int) -> Receive:
    """Return what receives as before, until more has come than is allowed."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise RefusedError(413, "The request is larger than the maximum allowed size.")
        return message

    return limited


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what receives this body, and then what else comes."""
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
