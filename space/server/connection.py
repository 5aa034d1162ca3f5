"""One connection to the server; it is closed if the client sends or reads too slowly.

uvicorn limits only the time between two requests, and restarts the timer at each byte
(https://github.com/Kludex/uvicorn/issues/157). A client that sends one byte a second could hold its
connection forever. The rule here is that of Apache's `mod_reqtimeout`: a base time for a request,
extended in proportion to the bytes received.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE_S = 20.0
LEAST_BYTES_PER_S = 8 * 1024
# Bytes beyond the size of the largest request do not extend the time.
MOST_BYTES = 128 * 2**20
# States in which the server waits for the client.
EXPECTING = (h11.IDLE, h11.SEND_BODY)


class TimedConnection(H11Protocol):
    """HTTP/1.1 with time limits for a client's requests and for unread responses.

    A response has no time limit: the page's event streams stay open for hours.
    """

    patience_s = PATIENCE_S

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._expected: object = None
        self._since = 0.0
        self._received = 0
        self._check: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the headers of the first request."""
        super().connection_made(transport)
        self._expect(0)

    def data_received(self, data: bytes) -> None:
        """Process bytes; start the timer if the request is incomplete."""
        super().data_received(data)
        self._expect(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        super().connection_lost(exc)
        for timer in (self._check, self._stalled):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        """Start the timer for a client that does not read its response."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timer for unread responses."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def _expect(self, received: int) -> None:
        """Count received bytes; restart the timer where the next message of a request begins."""
        state = self.conn.their_state
        if self._check is not None and state is self._expected:
            self._received += received
            return
        if self._check is not None:
            self._check.cancel()
            self._check = None
        self._expected = state
        if state in EXPECTING:
            self._since = self.loop.time()
            self._received = 0
            self._check = self.loop.call_later(self.patience_s, self._close_if_late)

    def _close_if_late(self) -> None:
        earned_s = min(self._received, MOST_BYTES) / LEAST_BYTES_PER_S
        deadline = self._since + self.patience_s + earned_s
        if self.loop.time() < deadline:
            self._check = self.loop.call_at(deadline, self._close_if_late)
        else:
            self.transport.abort()
