"""The loopback hub as tests see it: what they prepare, order and look at."""

from __future__ import annotations

import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.loopback_hub.accounts import Caller, Role, User
from tests.loopback_hub.connection import Connection, Server
from tests.loopback_hub.faults import Fault, Faults
from tests.loopback_hub.messages import RefusalError, Request, Response
from tests.loopback_hub.routes import route
from tests.loopback_hub.state import LoggedRequest, State
from tests.loopback_hub.storage import Commit, Kind, Repo


class LoopbackHub:
    """A running hub on 127.0.0.1, which stores what it gets in a temporary folder.

    Args:
        port: where to listen; 0 takes any free port.
    """

    def __init__(self, port: int = 0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="loopback-hub-")
        self._server = Server(("127.0.0.1", port), Connection)
        self._server.hub = self
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        # Defects of the hub itself: a test that caused one must not pass.
        self.defects: list[str] = []
        self.reset()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop serving, free the port, delete everything."""
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()

    def reset(self) -> None:
        """Forget everything: accounts, repositories, faults, the log."""
        folder = Path(self._folder.name)
        for blob in folder.iterdir():
            blob.unlink()
        self._state = State(self.url, folder)
        self.defects.clear()

    # What tests prepare.

    def add_user(
        self, name: str, *, organisations: tuple[str, ...] = (), pays: bool = True
    ) -> User:
        """Add a user; one who does not pay can't create Gradio Spaces on cpu-basic."""
        return self._state.accounts.add_user(name, organisations=organisations, pays=pays)

    def add_token(self, user: str, role: Role = "write") -> str:
        """Return a new token of a user."""
        return self._state.accounts.add_token(user, role)

    def put(
        self, kind: Kind, repo_id: str, files: Mapping[str, bytes], *, private: bool = False
    ) -> Commit:
        """Put files into a repository without HTTP, in one commit; it is created if need be."""
        storage = self._state.storage
        user = repo_id.partition("/")[0]
        sdk = "gradio" if kind == "space" else None
        with self._lock:
            repo = storage.repos.get((kind, repo_id)) or storage.create_repo(
                kind, repo_id, user, private=private, sdk=sdk, hardware="cpu-basic" if sdk else None
            )
            added = {path: storage.add_file(path, content) for path, content in files.items()}
            return storage.commit(repo, {**repo.head.files, **added}, "Put by a test", user)

    def fail_next(
        self,
        request: str,
        status: int,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next requests like `"METHOD path-pattern"` with an error."""
        response = RefusalError(status, message).response
        response = Response(status, response.body, {**response.headers, **(headers or {})})
        self._state.faults.add(request, "instead", response, times)

    def answer_next(self, request: str, body: bytes, *, status: int = 200, times: int = 1) -> None:
        """Answer the next requests like `"METHOD path-pattern"` with this body, whatever it is."""
        response = Response(status, body, {"Content-Type": "application/json"})
        self._state.faults.add(request, "instead", response, times)

    def before_next(self, request: str, action: Callable[[], object], *, times: int = 1) -> None:
        """Do something just before the next requests like `"METHOD path-pattern"` are handled."""
        self._state.faults.add(request, "before", times=times, action=action)

    def break_upload(self, request: str, *, times: int = 1) -> None:
        """Close the connection when half of the body of such a request has arrived."""
        self._state.faults.add(request, "during upload", times=times)

    def lose_answer(self, request: str, *, times: int = 1) -> None:
        """Do what such a request asks, but close the connection without an answer."""
        self._state.faults.add(request, "before answer", times=times)

    def clear_faults(self) -> None:
        """Let everything work again."""
        self._state.faults = Faults()

    # What tests look at.

    @property
    def requests(self) -> list[LoggedRequest]:
        """All requests since the last reset, in the order of their answers."""
        return self._state.requests

    @property
    def faults_pending(self) -> bool:
        """Whether an ordered fault has not happened yet."""
        return self._state.faults.pending

    def repo(self, kind: Kind, repo_id: str) -> Repo:
        """Return a repository; KeyError if there is none."""
        return self._state.storage.repos[kind, repo_id]

    def has_repo(self, kind: Kind, repo_id: str) -> bool:
        """Whether there is such a repository."""
        return (kind, repo_id) in self._state.storage.repos

    def read(self, kind: Kind, repo_id: str, path: str) -> bytes:
        """Return the content of a file at the newest commit."""
        return self._state.storage.read(self.repo(kind, repo_id).head.files[path])

    # What the server calls.

    def take_fault(self, method: str, path: str) -> Fault | None:
        """Return the fault that a test ordered for this request."""
        with self._lock:
            return self._state.faults.take(method, path)

    def find_caller(self, authorization: str | None) -> Caller | None:
        """Return who sent this `Authorization` header."""
        return self._state.accounts.find_caller(authorization)

    def log(self, method: str, path: str, status: int, caller: Caller | None) -> None:
        """Remember a request."""
        user = caller.user.name if caller and caller.user else None
        self._state.requests.append(LoggedRequest(method, path, status, user))

    def handle(self, request: Request) -> Response:
        """Return the answer to a request."""
        try:
            with self._lock:
                return route(self._state, request)
        except RefusalError as refusal:
            return refusal.response
        except Exception:
            # A thread of the server can't fail a test: the fixture looks at this list.
            self.defects.append(traceback.format_exc())
            return RefusalError(500, "The loopback hub has a defect.").response
