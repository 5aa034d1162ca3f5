"""The sockets under the loopback hub: HTTP in, HTTP out, and connections that break on order."""

from __future__ import annotations

import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback_hub.messages import RefusalError, Request, Response

if TYPE_CHECKING:
    from tests.loopback_hub.server import LoopbackHub


class Server(ThreadingHTTPServer):
    """The socket server; knows its hub, and is quiet about clients that go away."""

    hub: LoopbackHub

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            self.hub.defects.append("".join(traceback.format_exception(error)))


class Connection(BaseHTTPRequestHandler):
    """Reads requests from one connection and writes the hub's answers."""

    protocol_version = "HTTP/1.1"
    # Without this, headers and body of each answer wait for each other for 40 ms.
    disable_nagle_algorithm = True
    server: Server

    def _serve(self) -> None:
        hub = self.server.hub
        url = urlsplit(self.path)
        fault = hub.take_fault(self.command, url.path)
        if fault and fault.moment == "during upload":
            self._read_body(share=0.5)
            hub.log(self.command, url.path, 0, None)
            self.close_connection = True
            return
        body = self._read_body()
        if fault and fault.action:
            fault.action()
        caller = hub.find_caller(self.headers.get("Authorization"))
        if fault and fault.response:
            response = fault.response
        elif caller is None:
            message = "Invalid credentials in Authorization header"
            response = RefusalError(401, message).response
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = parse_qs(url.query)
            response = hub.handle(Request(self.command, url.path, query, headers, body, caller))
        if fault and fault.moment == "before answer":
            hub.log(self.command, url.path, 0, caller)
            self.close_connection = True
            return
        hub.log(self.command, url.path, response.status, caller)
        self._send(response)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 -- names of the base

    def _read_body(self, share: float = 1) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
                if share < 1:
                    return b"".join(chunks)
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(int(self.headers.get("Content-Length", 0)) * share))

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: tests read the log of the hub."""
