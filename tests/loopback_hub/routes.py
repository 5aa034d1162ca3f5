"""Which of the loopback hub's answers belongs to which address."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.loopback_hub import repositories, transfers
from tests.loopback_hub.messages import RefusalError, Request, Response
from tests.loopback_hub.state import State

Handler = Callable[[State, Request, re.Match[str]], Response]

ID = r"(?P<id>[^/]+/[^/]+?)"
API = rf"/api/(?P<kind>models|datasets|spaces)/{ID}"
SPACE = rf"/api/spaces/{ID}"
GIT = rf"/(?:(?P<kind>datasets|spaces)/)?{ID}"
LFS = rf"{GIT}\.git/info/lfs/objects"
REVISION = "(?P<revision>[^/]+)"

ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/api/whoami-v2", repositories.who_am_i),
    ("POST", "/api/validate-yaml", repositories.validate_yaml),
    ("POST", "/api/repos/create", repositories.create_repo),
    ("GET", rf"{API}(?:/revision/{REVISION})?", repositories.repo_info),
    ("GET", rf"{API}/tree/{REVISION}(?:/(?P<path>.+))?", repositories.list_tree),
    ("POST", rf"{API}/paths-info/{REVISION}", repositories.paths_info),
    ("GET", rf"{API}/commits/{REVISION}", repositories.list_commits),
    ("GET", rf"{API}/auth-check(?P<write>/write)?", repositories.check_access),
    ("GET|POST|DELETE", rf"{SPACE}/(?P<what>variables|secrets)", repositories.space_settings),
    ("GET", rf"{SPACE}/runtime", repositories.space_runtime),
    ("POST", rf"{SPACE}/restart", repositories.space_runtime),
    ("POST", rf"{API}/preupload/{REVISION}", transfers.preupload),
    ("POST", rf"{API}/commit/{REVISION}", transfers.commit),
    ("POST", rf"{LFS}/batch", transfers.lfs_batch),
    ("POST", rf"{LFS}/verify", transfers.lfs_verify),
    ("PUT", "/lfs-uploads/(?P<oid>[0-9a-f]{64})", transfers.lfs_upload),
    ("GET|HEAD", rf"{GIT}/resolve/{REVISION}/(?P<path>.+)", transfers.resolve),
]  # fmt: skip


def route(state: State, request: Request) -> Response:
    """Return the answer to a request.

    Raises:
        RefusalError: the answer is a refusal.
    """
    for methods, pattern, handler in ROUTES:
        match = re.fullmatch(pattern, request.path)
        if match and request.method in methods.split("|"):
            return handler(state, request, match)
    raise RefusalError(404, f"No route for {request.method} {request.path}")
