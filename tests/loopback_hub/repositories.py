"""The loopback hub's answers about accounts and repositories: create, describe, list, set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.loopback_hub.accounts import describe
from tests.loopback_hub.cards import check_card
from tests.loopback_hub.messages import RefusalError, Request, Response, answer
from tests.loopback_hub.state import (
    KINDS,
    State,
    find_commit,
    find_own_repo,
    find_repo,
    require_write,
)
from tests.loopback_hub.storage import Commit, File, Kind, Repo, lfs_pointer

PLAN_REFUSAL = (
    "Static Spaces are free for everyone, but hosting Gradio and Docker Spaces on free cpu-basic "
    "requires a PRO subscription. Subscribe at https://huggingface.co/pro"
)
MAX_FREE_ZERO_GPU_SPACES = 2
PREFIXES: dict[Kind, str] = {"model": "", "dataset": "datasets/", "space": "spaces/"}


def who_am_i(state: State, request: Request, match: re.Match[str]) -> Response:
    """Describe the owner of the token."""
    if request.caller.user is None:
        raise RefusalError(401, "Invalid username or password.")
    return answer(describe(request.caller))


def validate_yaml(state: State, request: Request, match: re.Match[str]) -> Response:
    """Check the front matter of a README before anything is uploaded."""
    errors, warnings = check_card(request.json()["content"], request.json()["repoType"])
    found = {
        "errors": [{"message": message} for message in errors],
        "warnings": [{"message": message} for message in warnings],
    }
    response = answer(found)
    return Response(400, response.body, response.headers) if errors else response


def create_repo(state: State, request: Request, match: re.Match[str]) -> Response:
    """Create a repository."""
    wanted = request.json()
    kind: Kind = wanted.get("type") or "model"
    user = request.caller.user
    namespace = wanted.get("organization") or (user.name if user else "")
    require_write(request.caller, namespace)
    repo_id = f"{namespace}/{wanted['name']}"
    url = f"{state.url}/{PREFIXES[kind]}{repo_id}"
    if (kind, repo_id) in state.storage.repos:
        refusal = RefusalError(409, f"You already created this {kind} repo").response
        body = json.dumps({"error": f"You already created this {kind} repo", "url": url})
        return Response(409, body.encode(), refusal.headers)
    hardware = wanted.get("hardware", "cpu-basic") if kind == "space" else None
    assert user is not None  # require_write has seen to it
    if kind == "space" and wanted["sdk"] != "static" and not user.pays:
        _require_free_hardware(state, namespace, hardware)
    state.storage.create_repo(
        kind,
        repo_id,
        user.name,
        private=wanted.get("visibility") == "private",
        sdk=wanted.get("sdk"),
        hardware=hardware,
    )
    return answer({"url": url, "name": repo_id, "id": repo_id})


def _require_free_hardware(state: State, namespace: str, hardware: str | None) -> None:
    """Refuse a Space that only paying accounts may create."""
    if hardware != "zero-a10g":
        raise RefusalError(402, PLAN_REFUSAL)
    hosted = [
        repo
        for repo in state.storage.repos.values()
        if repo.id.startswith(f"{namespace}/") and repo.hardware == "zero-a10g"
    ]
    if len(hosted) >= MAX_FREE_ZERO_GPU_SPACES:
        raise RefusalError(403, "You have reached the maximum number of ZeroGPU Spaces.")


def repo_info(state: State, request: Request, match: re.Match[str]) -> Response:
    """Describe a repository at one revision."""
    repo = find_repo(state, request, KINDS[match["kind"]], match["id"])
    commit = find_commit(repo, match["revision"] or "main")
    card = state.storage.card_data(commit)
    with_blobs = request.query.get("blobs") == ["true"]
    info: dict[str, Any] = {
        "_id": repo.id,
        "id": repo.id,
        "author": repo.id.partition("/")[0],
        "sha": commit.oid,
        "private": repo.private,
        "gated": False,
        "disabled": False,
        "createdAt": _iso(repo.commits[0].time),
        "lastModified": _iso(commit.time),
        "downloads": 0,
        "likes": 0,
        "tags": card.get("tags", []),
        "cardData": card,
        "siblings": [_sibling(path, file, with_blobs) for path, file in commit.files.items()],
    }
    if repo.kind == "model":
        info |= {key: card[key] for key in ("library_name", "pipeline_tag") if key in card}
    if repo.kind == "space":
        info |= {"sdk": repo.sdk, "models": card.get("models", []), "runtime": _runtime(repo)}
    return answer(info)


def _sibling(path: str, file: File, with_blobs: bool) -> dict[str, Any]:
    if not with_blobs:
        return {"rfilename": path}
    sibling: dict[str, Any] = {"rfilename": path, "size": file.size, "blobId": file.git_oid}
    if file.lfs:
        sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": _pointer(file)}
    return sibling


def list_tree(state: State, request: Request, match: re.Match[str]) -> Response:
    """List the files and folders below a path."""
    repo = find_repo(state, request, KINDS[match["kind"]], match["id"])
    commit = find_commit(repo, match["revision"])
    top = unquote(match["path"] or "").strip("/")
    prefix = f"{top}/" if top else ""
    below = {path for path in commit.files if path.startswith(prefix)}
    if top and not below:
        raise RefusalError(404, f"{top} does not exist on {match['revision']}", "EntryNotFound")
    recursive = request.query.get("recursive", ["false"])[0].lower() in {"true", "1"}
    paths = below | {folder for folder in _folders(below) if folder.startswith(prefix)}
    if not recursive:
        paths = {path for path in paths if "/" not in path.removeprefix(prefix)}
    return answer([_entry(commit, path) for path in sorted(paths)])


def paths_info(state: State, request: Request, match: re.Match[str]) -> Response:
    """Describe the files and folders that the caller names; unknown ones are left out."""
    repo = find_repo(state, request, KINDS[match["kind"]], match["id"])
    commit = find_commit(repo, match["revision"])
    if "json" in request.headers.get("content-type", ""):
        wanted = request.json()["paths"]
    else:
        wanted = parse_qs(request.body.decode())["paths"]
    known = set(commit.files) | _folders(commit.files)
    return answer([_entry(commit, path) for path in wanted if path in known])


def list_commits(state: State, request: Request, match: re.Match[str]) -> Response:
    """List the history, newest first."""
    repo = find_repo(state, request, KINDS[match["kind"]], match["id"])
    newest = repo.commits.index(find_commit(repo, match["revision"]))
    return answer(
        [
            {
                "id": commit.oid,
                "title": commit.title,
                "message": "",
                "date": _iso(commit.time),
                "authors": [{"user": commit.user}],
            }
            for commit in reversed(repo.commits[: newest + 1])
        ]
    )


def check_access(state: State, request: Request, match: re.Match[str]) -> Response:
    """Say whether the caller may read, or with `/write` change, a repository."""
    find = find_own_repo if match["write"] else find_repo
    find(state, request, KINDS[match["kind"]], match["id"])
    return answer({})


def space_settings(state: State, request: Request, match: re.Match[str]) -> Response:
    """List, set or delete a Space's variables and secrets; values of secrets stay hidden."""
    repo = find_own_repo(state, request, "space", match["id"])
    settings = repo.secrets if match["what"] == "secrets" else repo.variables
    if request.method == "POST":
        settings[request.json()["key"]] = request.json()["value"]
    if request.method == "DELETE":
        settings.pop(request.json()["key"], None)
    hidden = match["what"] == "secrets"
    return answer(
        {
            key: {"key": key} if hidden else {"key": key, "value": value}
            for key, value in settings.items()
        }
    )


def space_runtime(state: State, request: Request, match: re.Match[str]) -> Response:
    """Describe the machine under a Space, or restart it."""
    if request.method == "POST":
        repo = find_own_repo(state, request, "space", match["id"])
        repo.restarts += 1
    else:
        repo = find_repo(state, request, "space", match["id"])
    return answer(_runtime(repo))


def _runtime(repo: Repo) -> dict[str, Any]:
    hardware = {"current": repo.hardware, "requested": repo.hardware}
    return {"stage": "RUNNING", "hardware": hardware, "storage": None, "gcTimeout": 172800}


def _folders(paths: Iterable[str]) -> set[str]:
    parents = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    return parents - {"."}


def _entry(commit: Commit, path: str) -> dict[str, Any]:
    file = commit.files.get(path)
    if file is None:
        return {"type": "directory", "oid": commit.oid, "size": 0, "path": path}
    entry: dict[str, Any] = {"type": "file", "oid": file.git_oid, "size": file.size, "path": path}
    if file.lfs:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": _pointer(file)}
    return entry


def _pointer(file: File) -> int:
    return len(lfs_pointer(file.sha256, file.size))


def _iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z")
