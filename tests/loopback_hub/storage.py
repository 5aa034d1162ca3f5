"""What the loopback hub stores: repositories, their commits, and the contents of files."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal

import yaml  # type: ignore[import-untyped]

Kind = Literal["model", "dataset", "space"]

# The Hub decides by .gitattributes, by size and by the first bytes; this is its usual outcome.
LFS_SUFFIXES = {".safetensors", ".bin", ".pt", ".pth", ".onnx", ".npy", ".parquet", ".zip", ".gz"}
LFS_MIN_BYTES = 10 * 1024 * 1024
GITATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


def is_lfs(path: str, sample: bytes, size: int) -> bool:
    """Return whether a file is kept outside of git: weights, large files, binary files."""
    return PurePosixPath(path).suffix in LFS_SUFFIXES or size >= LFS_MIN_BYTES or b"\0" in sample


@dataclass(frozen=True)
class File:
    """One file of a commit; the content lies in the storage under its SHA-256."""

    sha256: str
    size: int
    git_oid: str
    lfs: bool

    @property
    def etag(self) -> str:
        """What the Hub names as ETag and compares uploads with."""
        return self.sha256 if self.lfs else self.git_oid


@dataclass(frozen=True)
class Commit:
    """One state of a repository."""

    oid: str
    title: str
    user: str
    time: datetime
    files: Mapping[str, File]


@dataclass
class Repo:
    """A repository with its history, oldest commit first; a Space also has settings."""

    kind: Kind
    id: str
    private: bool
    sdk: str | None
    hardware: str | None
    commits: list[Commit] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    restarts: int = 0

    @property
    def head(self) -> Commit:
        """The newest commit of `main`."""
        return self.commits[-1]

    @property
    def pushes(self) -> list[Commit]:
        """The commits that somebody pushed: all but the one that the Hub makes itself."""
        return self.commits[1:]

    def find_commit(self, revision: str) -> Commit | None:
        """Return the commit that `main`, `HEAD` or an object id names."""
        if revision in {"main", "HEAD", "refs/heads/main"}:
            return self.head
        return next((commit for commit in self.commits if commit.oid == revision), None)


class Storage:
    """All repositories; contents are files in `folder`, named by their SHA-256."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repos: dict[tuple[Kind, str], Repo] = {}
        self._counter = itertools.count()

    def create_repo(
        self,
        kind: Kind,
        repo_id: str,
        user: str,
        *,
        private: bool = False,
        sdk: str | None = None,
        hardware: str | None = None,
    ) -> Repo:
        """Create a repository with the first commit that the Hub itself makes."""
        repo = Repo(kind, repo_id, private, sdk, hardware)
        files = {".gitattributes": self.add_file(".gitattributes", GITATTRIBUTES)}
        if kind == "space":
            readme = f"---\ntitle: {repo_id}\nsdk: {sdk}\n---\n".encode()
            files["README.md"] = self.add_file("README.md", readme)
        self.repos[kind, repo_id] = repo
        self.commit(repo, files, "initial commit", user)
        return repo

    def commit(self, repo: Repo, files: Mapping[str, File], title: str, user: str) -> Commit:
        """Make `files` the new state of `repo`."""
        # Numbered, so that no two commits share an id and no client's cache outlives a test.
        name = f"{id(self)} {next(self._counter)} {repo.kind} {repo.id} {sorted(files.items())}"
        oid = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        commit = Commit(oid, title, user, datetime.now(UTC), dict(files))
        repo.commits.append(commit)
        return commit

    def blob(self, sha256: str) -> Path:
        """Return where the content with this SHA-256 lies, or would lie."""
        return self.folder / sha256

    def add_blob(self, content: bytes) -> str:
        """Store `content`; return its SHA-256."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.blob(sha256).write_bytes(content)
        return sha256

    def add_file(self, path: str, content: bytes) -> File:
        """Store `content` the way that the Hub would for this path."""
        sha256 = self.add_blob(content)
        if is_lfs(path, content[:512], len(content)):
            return self.lfs_file(sha256)
        return File(sha256, len(content), _git_oid(content), lfs=False)

    def lfs_file(self, sha256: str) -> File:
        """Return the file whose content was uploaded before; git itself only holds a pointer."""
        size = self.blob(sha256).stat().st_size
        return File(sha256, size, _git_oid(lfs_pointer(sha256, size)), lfs=True)

    def read(self, file: File) -> bytes:
        """Return a file's content."""
        return self.blob(file.sha256).read_bytes()

    def card_data(self, commit: Commit) -> dict[str, object]:
        """Return the front matter of the README; empty if there is none or it is not YAML."""
        readme = commit.files.get("README.md")
        if readme is None:
            return {}
        try:
            data = yaml.safe_load(front_matter(self.read(readme).decode()) or "")
        except yaml.YAMLError:
            return {}
        return data if isinstance(data, dict) else {}


def lfs_pointer(sha256: str, size: int) -> bytes:
    """Return the text that git holds in place of a large file."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )


def front_matter(text: str) -> str | None:
    """Return the YAML between the first two lines of dashes, if the text starts with one."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        return None
    for number, line in enumerate(lines[1:], start=1):
        if line.strip() == "---":
            return "\n".join(lines[1:number])
    return None


def _git_oid(content: bytes) -> str:
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
