"""Everything that the loopback hub knows, and the look-ups that all its answers begin with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from tests.loopback_hub.accounts import Accounts, Caller
from tests.loopback_hub.faults import Faults
from tests.loopback_hub.messages import RefusalError, Request
from tests.loopback_hub.storage import Commit, Kind, Repo, Storage

KINDS: dict[str, Kind] = {"models": "model", "datasets": "dataset", "spaces": "space"}


@dataclass(frozen=True)
class LoggedRequest:
    """One request that arrived, for tests to count; `status` 0: it got no answer."""

    method: str
    path: str
    status: int
    user: str | None


@dataclass
class State:
    """What a test starts with, and what it may look at afterwards."""

    url: str
    folder: Path
    accounts: Accounts = field(default_factory=Accounts)
    faults: Faults = field(default_factory=Faults)
    requests: list[LoggedRequest] = field(default_factory=list)
    storage: Storage = field(init=False)
    # SHA-256 of files that somebody with the right to do so asked to upload.
    granted_uploads: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.storage = Storage(self.folder)


def find_repo(state: State, request: Request, kind: Kind, repo_id: str) -> Repo:
    """Return a repository that the caller may read; to others it does not exist."""
    repo = state.storage.repos.get((kind, unquote(repo_id)))
    namespace = unquote(repo_id).partition("/")[0]
    if repo is None or not request.caller.may_read(namespace, repo.private):
        if request.caller.user is None:
            raise RefusalError(401, "Invalid username or password.", "RepoNotFound")
        raise RefusalError(404, "Repository not found", "RepoNotFound")
    return repo


def find_own_repo(state: State, request: Request, kind: Kind, repo_id: str) -> Repo:
    """Return a repository that the caller may change."""
    repo = find_repo(state, request, kind, repo_id)
    require_write(request.caller, repo.id.partition("/")[0])
    return repo


def require_write(caller: Caller, namespace: str) -> None:
    """Refuse callers who may not change repositories under `namespace`."""
    if caller.user is None:
        raise RefusalError(401, "Invalid username or password.")
    if not caller.may_write(namespace):
        raise RefusalError(
            403,
            f'You don\'t have the rights to write to the namespace "{namespace}" with this token.',
        )


def find_commit(repo: Repo, revision: str) -> Commit:
    """Return the commit that a revision in a URL names."""
    commit = repo.find_commit(unquote(revision))
    if commit is None:
        raise RefusalError(404, f"Invalid rev id: {unquote(revision)}", "RevisionNotFound")
    return commit
