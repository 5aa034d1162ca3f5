"""Under which addresses the page is served, whatever a request says of that.

Gradio writes the address that a request names (`Host`, `X-Forwarded-Host`, `X-Gradio-Server`) into
the page and into the links to files. Anybody can write there what they like, and a cache may hand
the page on. So a request that names no address of this server gets one.
"""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

if TYPE_CHECKING:
    from starlette.types import Scope

# What Gradio reads beside `Host`.
NAMING = ("x-forwarded-host", "x-forwarded-proto", "x-gradio-server")
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
HOST = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?")


class Address:
    """The names of this server.

    Args:
        space_hosts: names of a Space on the Hub, where the page is reached by HTTPS alone;
            empty elsewhere.
        names: further names that this machine has.
    """

    def __init__(self, space_hosts: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> None:
        self.space_hosts = space_hosts
        self.names = {*LOCAL_NAMES, *(name.lower() for name in names)}

    @classmethod
    def configured(cls) -> Address:
        """Return the names that the environment and the machine give."""
        # With a domain of one's own it is a list: that domain comes beside the Hub's.
        listed = os.environ.get("SPACE_HOST", "").lower().split(",")
        bound = os.environ.get("GRADIO_SERVER_NAME", "")
        names = (bound, socket.gethostname(), f"{socket.gethostname()}.local")
        return cls(tuple(host.strip() for host in listed if host.strip()), names)

    def applied(self, scope: Scope) -> Scope:
        """Return a request that names an address of this server, and no other."""
        given = Headers(scope=scope)
        host = given.get("host", "").lower()
        headers = MutableHeaders(raw=list(scope["headers"]))
        for name in NAMING:
            del headers[name]
        if self.space_hosts:
            forwarded = given.get("x-forwarded-host", "").partition(",")[0].strip().lower()
            asked = [name for name in (forwarded, host) if name in self.space_hosts]
            headers["host"] = (*asked, *self.space_hosts)[0]
            return {**scope, "headers": headers.raw, "scheme": "https"}
        headers["host"] = self._local(host, scope)
        return {**scope, "headers": headers.raw}

    def _local(self, host: str, scope: Scope) -> str:
        """Return `host` if it is a name of this machine, else where the request arrived."""
        ip, port = scope.get("server") or ("127.0.0.1", None)
        arrived = f"[{ip}]" if ":" in ip else ip
        parts = HOST.fullmatch(host)
        # The port may be another one: containers and tunnels forward it.
        if parts and parts[1] in {*self.names, arrived} and int(parts[2] or 0) < 65536:
            return host
        return f"{arrived}:{port}" if port else arrived
