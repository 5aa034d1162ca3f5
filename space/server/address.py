"""The addresses under which the page is served, whatever a request claims.

Gradio writes the address from a request (`Host`, `X-Forwarded-Host`, `X-Gradio-Server`) into the
page and the links to files. Clients can forge these headers, and a cache may pass the page on.
"""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders

if TYPE_CHECKING:
    from starlette.types import Scope

# Headers that Gradio reads in addition to `Host`.
NAMING = ("x-forwarded-host", "x-forwarded-proto", "x-gradio-server")
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
HOST = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?")


class UnknownNameError(Exception):
    """A request names another server; the message says how to fix it."""


class Address:
    """The names of this server.

    Args:
        public: addresses behind a proxy, such as `https://ada-steel.hf.space`. If given, no other
            address is served.
        names: of this machine, in addition to `localhost` and the address of the connection.
    """

    def __init__(self, public: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> None:
        urls = [urlsplit(address.lower()) for address in public]
        self.public = {url.netloc: url.scheme for url in urls}
        self.names = {*LOCAL_NAMES, *(name.lower() for name in names)}
        self.share_link: SplitResult | None = None

    @classmethod
    def configured(cls) -> Address:
        """Return the names from the environment and the machine."""
        root = os.environ.get("GRADIO_ROOT_PATH", "")
        if root.startswith(("http://", "https://")):
            return cls((root,))
        # Set in a Space: the Hub's name and the owner's domain, if there is one.
        hosts = [host.strip() for host in os.environ.get("SPACE_HOST", "").split(",")]
        machine = socket.gethostname()
        return cls(
            tuple(f"https://{host}" for host in hosts if host),
            (machine, f"{machine}.local", os.environ.get("GRADIO_SERVER_NAME", "")),
        )

    def add_share_link(self, url: str) -> None:
        """Serve Gradio's public link too; it is known only after the server has started."""
        self.share_link = urlsplit(url.lower())

    def applied(self, scope: Scope) -> Scope:
        """Return a request in which only an address of this server is named.

        Raises:
            UnknownNameError: it came without a proxy, and names another server.
        """
        given = Headers(scope=scope)
        host = given.get("host", "").lower()
        headers = MutableHeaders(raw=list(scope["headers"]))
        for name in NAMING:
            del headers[name]
        forwarded = given.get("x-forwarded-host", "").partition(",")[0].strip().lower()
        if self.share_link and self.share_link.netloc in (forwarded, host):
            headers["host"] = self.share_link.netloc
            return {**scope, "headers": headers.raw, "scheme": self.share_link.scheme}
        if not self.public:
            headers["host"] = self._local(host, scope)
            return {**scope, "headers": headers.raw}
        # The Hub's health checks do not name the Space.
        asked = [name for name in (forwarded, host) if name in self.public]
        headers["host"] = (*asked, *self.public)[0]
        return {**scope, "headers": headers.raw, "scheme": self.public[headers["host"]]}

    def _local(self, host: str, scope: Scope) -> str:
        """Return `host` if it is a name of this machine; without `host`, the connection's address.

        Raises:
            UnknownNameError: it is not a name of this machine.
        """
        ip, port = scope.get("server") or ("127.0.0.1", None)
        name = f"[{ip}]" if ":" in ip else ip
        arrived = f"{name}:{port}" if port else name
        match = HOST.fullmatch(host or arrived)
        # The port may differ: containers and tunnels forward it.
        if match and match[1] in {*self.names, name} and int(match[2] or 0) < 65536:
            return match[0]
        raise UnknownNameError(
            f"This server does not know that name. Open http://{arrived}, or start the server "
            "with GRADIO_ROOT_PATH set to the address that visitors use."
        )
