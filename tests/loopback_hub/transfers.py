"""The loopback hub's answers that move files: downloads, uploads of large files, commits."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import unquote

from tests.loopback_hub.messages import RefusalError, Request, Response, answer
from tests.loopback_hub.repositories import PREFIXES
from tests.loopback_hub.state import KINDS, State, find_commit, find_own_repo, find_repo
from tests.loopback_hub.storage import File, is_lfs

LFS_TYPE = "application/vnd.git-lfs+json"


def resolve(state: State, request: Request, match: re.Match[str]) -> Response:
    """Send a file, or the part of it that a `Range` header asks for."""
    repo = find_repo(state, request, KINDS[match["kind"] or "models"], match["id"])
    commit = find_commit(repo, match["revision"])
    file = commit.files.get(unquote(match["path"]))
    if file is None:
        refusal = RefusalError(404, "Entry not found", "EntryNotFound").response
        # Clients remember for which commit a file is missing.
        headers = {**refusal.headers, "X-Repo-Commit": commit.oid}
        return Response(refusal.status, refusal.body, headers)
    content = state.storage.read(file)
    headers = {
        "ETag": f'"{file.etag}"',
        "X-Repo-Commit": commit.oid,
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    if file.lfs:
        headers |= {"X-Linked-ETag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if asked is None:
        return Response(200, content, headers)
    first, last = int(asked[1]), min(int(asked[2] or file.size - 1), file.size - 1)
    if first >= file.size:
        return Response(416, b"", headers | {"Content-Range": f"bytes */{file.size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
    return Response(206, content[first : last + 1], headers)


def preupload(state: State, request: Request, match: re.Match[str]) -> Response:
    """Say for each file whether it goes into the commit itself or is uploaded before."""
    repo = find_own_repo(state, request, KINDS[match["kind"]], match["id"])
    commit = find_commit(repo, match["revision"])
    modes = []
    for wanted in request.json()["files"]:
        sample = base64.b64decode(wanted["sample"])
        lfs = is_lfs(wanted["path"], sample, wanted["size"])
        known = commit.files.get(wanted["path"])
        modes.append(
            {
                "path": wanted["path"],
                "uploadMode": "lfs" if lfs else "regular",
                "shouldIgnore": False,
                "oid": known.etag if known else None,
            }
        )
    return answer({"files": modes})


def lfs_batch(state: State, request: Request, match: re.Match[str]) -> Response:
    """Say where to upload large files; those that are here already need no upload."""
    repo = find_own_repo(state, request, KINDS[match["kind"] or "models"], match["id"])
    objects: list[dict[str, Any]] = []
    for wanted in request.json()["objects"]:
        entry = {"oid": wanted["oid"], "size": wanted["size"]}
        if not state.storage.blob(wanted["oid"]).exists():
            state.granted_uploads.add(wanted["oid"])
            lfs = f"{state.url}/{PREFIXES[repo.kind]}{repo.id}.git/info/lfs/objects"
            entry["actions"] = {
                "upload": {"href": f"{state.url}/lfs-uploads/{wanted['oid']}"},
                "verify": {"href": f"{lfs}/verify"},
            }
        objects.append(entry)
    body = json.dumps({"transfer": "basic", "objects": objects}).encode()
    return Response(200, body, {"Content-Type": LFS_TYPE})


def lfs_upload(state: State, request: Request, match: re.Match[str]) -> Response:
    """Take a large file; like a signed address of a store, this needs no token."""
    if match["oid"] not in state.granted_uploads:
        raise RefusalError(403, "This upload was not asked for.")
    if hashlib.sha256(request.body).hexdigest() != match["oid"]:
        raise RefusalError(400, "The content does not have the SHA-256 that was announced.")
    state.storage.add_blob(request.body)
    return Response()


def lfs_verify(state: State, request: Request, match: re.Match[str]) -> Response:
    """Confirm that a large file arrived whole."""
    find_own_repo(state, request, KINDS[match["kind"] or "models"], match["id"])
    blob = state.storage.blob(request.json()["oid"])
    if not blob.exists() or blob.stat().st_size != request.json()["size"]:
        raise RefusalError(422, "The file did not arrive whole.")
    return answer({})


def commit(state: State, request: Request, match: re.Match[str]) -> Response:
    """Add and delete files in one step."""
    repo = find_own_repo(state, request, KINDS[match["kind"]], match["id"])
    if unquote(match["revision"]) != "main":
        raise RefusalError(404, f"Invalid rev id: {match['revision']}", "RevisionNotFound")
    lines = [json.loads(line) for line in request.body.splitlines()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    if header.get("parentCommit") not in (None, repo.head.oid):
        raise RefusalError(412, "A commit has happened since. Please refresh and try again.")
    files = dict(repo.head.files)
    for line in lines:
        if line["key"] != "header":
            _apply(state, files, line["key"], line["value"])
    user = request.caller.user
    assert user is not None  # find_own_repo has seen to it
    made = state.storage.commit(repo, files, header["summary"], user.name)
    url = f"{state.url}/{PREFIXES[repo.kind]}{repo.id}/commit/{made.oid}"
    return answer({"success": True, "commitOid": made.oid, "commitUrl": url})


def _apply(state: State, files: dict[str, File], key: str, value: dict[str, Any]) -> None:
    """Do one line of a commit on `files`."""
    path = value["path"]
    if key == "file":
        files[path] = state.storage.add_file(path, base64.b64decode(value["content"]))
    elif key == "lfsFile":
        if not state.storage.blob(value["oid"]).exists():
            raise RefusalError(400, f"The content of {path} was never uploaded.")
        files[path] = state.storage.lfs_file(value["oid"])
    elif key == "deletedFile":
        if files.pop(path, None) is None:
            message = f"A file with this name doesn't exist: {path}"
            raise RefusalError(404, message, "EntryNotFound")
    elif key == "deletedFolder":
        for inside in [name for name in files if name.startswith(path.rstrip("/") + "/")]:
            del files[inside]
    else:
        raise RefusalError(400, f"Unknown operation: {key}")
