"""Under which addresses the page is served, whatever a request says of that.

Gradio writes the address that a request names (`Host`, `X-Forwarded-Host`, `X-Gradio-Server`) into
the page and into the links to files. Anybody can write there what they like, and a cache may hand
the page on.
"""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

if TYPE_CHECKING:
    from starlette.types import Scope

# What Gradio reads beside `Host`.
NAMING = ("x-forwarded-host", "x-forwarded-proto", "x-gradio-server")
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
HOST = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?")


class UnknownNameError(Exception):
    """A request names another server; the message says what to do."""


class Address:
    """The names of this server.

    Args:
        public: addresses behind a proxy, such as `https://ada-steel.hf.space`. If there are any,
            no other one is served.
        names: of this machine, beside `localhost` and the one at which a request arrives.
    """

    def __init__(self, public: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> None:
        parts = [urlsplit(address.lower()) for address in public]
        self.public = {part.netloc: part.scheme for part in parts}
        self.names = {*LOCAL_NAMES, *(name.lower() for name in names)}

    @classmethod
    def configured(cls) -> Address:
        """Return the names that the environment and the machine give."""
        root = os.environ.get("GRADIO_ROOT_PATH", "")
        if root.startswith(("http://", "https://")):
            return cls((root,))
        # In a Space on the Hub; beside the Hub's name it lists the owner's domain, if there is one.
        hosts = [host.strip() for host in os.environ.get("SPACE_HOST", "").split(",")]
        machine = socket.gethostname()
        return cls(
            tuple(f"https://{host}" for host in hosts if host),
            (machine, f"{machine}.local", os.environ.get("GRADIO_SERVER_NAME", "")),
        )

    def applied(self, scope: Scope) -> Scope:
        """Return a request that names an address of this server, and no other.

        Raises:
            UnknownNameError: it came without a proxy, and names another server.
        """
        given = Headers(scope=scope)
        host = given.get("host", "").lower()
        headers = MutableHeaders(raw=list(scope["headers"]))
        for name in NAMING:
            del headers[name]
        if not self.public:
            headers["host"] = self._local(host, scope)
            return {**scope, "headers": headers.raw}
        # The Hub's health checks name no address of the Space.
        forwarded = given.get("x-forwarded-host", "").partition(",")[0].strip().lower()
        asked = [name for name in (forwarded, host) if name in self.public]
        headers["host"] = (*asked, *self.public)[0]
        return {**scope, "headers": headers.raw, "scheme": self.public[headers["host"]]}

    def _local(self, host: str, scope: Scope) -> str:
        """Return `host` if it is a name of this machine, or where the request arrived without one.

        Raises:
            UnknownNameError: it is none.
        """
        ip, port = scope.get("server") or ("127.0.0.1", None)
        name = f"[{ip}]" if ":" in ip else ip
        arrived = f"{name}:{port}" if port else name
        parts = HOST.fullmatch(host or arrived)
        # The port may be another one: containers and tunnels forward it.
        if parts and parts[1] in {*self.names, name} and int(parts[2] or 0) < 65536:
            return parts[0]
        raise UnknownNameError(
            f"This server does not know that name. Open http://{arrived}, or start the server "
            "with GRADIO_ROOT_PATH set to the address that visitors use."
        )
