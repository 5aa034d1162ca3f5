"""The folder of uploads: which paths count, and that everything in it is deleted in time."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from space.server import uploads
from space.server.gate.gate import Gate
from space.server.uploads import MAX_AGE_S, UploadFolder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[UploadFolder]:
    folder = UploadFolder(tmp_path / "temporary")
    yield folder
    folder.remove()


def _put(folder: UploadFolder, name: str = "a/photo.png") -> Path:
    path = folder.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"an image")
    return path


def test_only_the_plain_path_of_a_file_in_the_folder_counts(folder: UploadFolder) -> None:
    path = _put(folder)
    assert folder.find(str(path)) == path
    (path.parent / "link.png").symlink_to(path)
    os.mkfifo(path.parent / "pipe.png")
    aliases = [
        f"/{path}",
        f"/proc/self/root{path}",
        f"{path.parent}/./photo.png",
        f"{path.parent}/../a/photo.png",
        f"{path}/",
        os.path.relpath(path),
        f"{path}\0",
        str(path.parent),
        str(path.parent / "link.png"),
        str(path.parent / "pipe.png"),
        str(path.parent / "none.png"),
        "x" * 100_000,
        "",
        None,
        5,
        path,
        [str(path)],
    ]
    assert [alias for alias in aliases if folder.find(alias) is not None] == []


def test_all_that_is_old_is_deleted_and_nothing_that_is_new(
    folder: UploadFolder, tmp_path: Path
) -> None:
    outside = tmp_path / "figure.png"
    outside.write_bytes(b"a figure")
    for name in ("a/photo.png", "b/c/half", "partial"):
        _put(folder, name)
    (folder.path / "link.png").symlink_to(outside)
    (folder.path / "loop").symlink_to("loop")
    (folder.path / "linked").symlink_to(tmp_path)
    (folder.path / "empty").mkdir()
    folder.clean(now=time.time() + MAX_AGE_S - 60)
    assert len(list(folder.path.rglob("*"))) == 10
    folder.clean(now=time.time() + MAX_AGE_S + 60)
    assert len(list(folder.path.rglob("*"))) <= 3, "folders age when they are emptied"
    folder.clean(now=time.time() + MAX_AGE_S + 60)
    folder.clean(now=time.time() + MAX_AGE_S + 60)
    assert list(folder.path.rglob("*")) == []
    assert folder.path.is_dir()
    assert outside.read_bytes() == b"a figure"


def test_cleaning_goes_on_after_a_failure(
    folder: UploadFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls, done = [], threading.Event()

    def clean() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("Set changed size during iteration")
        done.set()

    monkeypatch.setattr(uploads, "INTERVAL_S", 0.01)
    monkeypatch.setattr(folder, "clean", clean)
    folder.clean_regularly()
    assert done.wait(30)
    assert "could not be deleted" in caplog.text


def test_a_file_that_cannot_be_deleted_does_not_save_the_others(
    folder: UploadFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a/photo.png", "b/photo.png", "c"):
        _put(folder, name)
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.parent.name == "a":
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    folder.clean(now=time.time() + MAX_AGE_S + 60)
    assert [path.name for path in folder.path.rglob("*") if path.is_file()] == ["photo.png"]
    assert "Permission denied" in caplog.text


def test_the_folder_of_a_killed_server_is_deleted_and_that_of_a_running_one_is_not(
    tmp_path: Path,
) -> None:
    killed, running = UploadFolder(tmp_path), UploadFolder(tmp_path)
    _put(killed)
    _put(running)
    # What the system does when a process ends, however it ends.
    killed._lock.close()
    (tmp_path / "of somebody else").mkdir()
    new = UploadFolder(tmp_path)
    assert not killed.path.exists()
    assert (running.path / "a" / "photo.png").exists()
    assert (tmp_path / "of somebody else").is_dir()
    for folder in (running, new):
        folder.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["of somebody else"]


def test_nobody_else_can_read_the_folder(folder: UploadFolder) -> None:
    assert folder.path.parent.stat().st_mode & 0o077 == 0


def test_an_upload_is_as_old_as_it_lies_here(folder: UploadFolder) -> None:
    """Whatever time of change its sender gave it."""
    path = _put(folder)
    os.utime(path, (0, 0))
    folder.clean()
    assert path.exists()


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (OSError(28, "No space left on device"), 507, "can't store the file now"),
        (KeyError("data"), 500, "could not answer this request"),
    ],
)
def test_what_fails_behind_the_gate_is_answered_in_words(
    folder: UploadFolder, error: Exception, status: int, says: str
) -> None:
    async def fail(*_: object) -> None:
        raise error

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": []}
    address: Any = SimpleNamespace(applied=lambda scope: scope)
    visitors: Any = SimpleNamespace(forget=lambda: None)
    gate = Gate(fail, folder, {}, 2**20, address, visitors)
    asyncio.run(gate(scope, receive, send))
    assert sent[0]["status"] == status
    assert says in sent[1]["body"].decode()
