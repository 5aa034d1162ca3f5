"""The web demo's page in this process, as a browser and as a program would ask it."""

from __future__ import annotations

import gc
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from space.app import build_app, launch
from space.demo import Demo
from space.feedback.desk import CorrectionDesk
from space.feedback.store import Store
from space.inference.images.lossless import png_of
from space.inference.images.reader import decode_image, read_content
from space.inference.predictor import Predictor
from space.server.uploads import UploadFolder
from tests.support.published_folder import noise, write_decision, write_published_folder
from tests.support.running_space import free_port

MAX_FILE_BYTES = 2 * 2**20
MARKER = "SECRET-OF-THE-MACHINE"


def as_png(path: Path) -> bytes:
    """Decode a file in this process, as the decoder of a server does in another."""
    return png_of(decode_image(read_content(path)))


class Site:
    """A server in this process, and what must not leave it."""

    def __init__(self, folder: Path, fetched: list[str]) -> None:
        self.folder = folder
        self.fetched = fetched
        self.model = folder / "model"
        write_published_folder(self.model)
        write_decision(self.model)
        self.secret = folder / "secret.png"
        noise(3).save(self.secret)
        self.uploads = UploadFolder(folder / "temporary")
        os.environ["GRADIO_TEMP_DIR"] = str(self.uploads.path)
        predictor, model_id = Predictor(self.model), f"local-dir:{self.model}"
        store = Store(folder / "feedback", 2**20)
        desk = CorrectionDesk(predictor, model_id, store, as_png)
        self.demo = Demo(predictor, model_id, self.uploads, desk=desk)
        self.app: gr.Blocks = build_app(self.demo)
        self.url = launch(self.app, self.uploads, free_port(), desk)
        self.events = {fn.name: number for number, fn in self.app.fns.items() if fn.name}
        self.http = httpx.Client(base_url=f"{self.url}/gradio_api", timeout=30)
        self._sessions = itertools.count()

    def upload(self, seed: int = 1, progress: str | None = None) -> str:
        """Upload noise; return its path. `progress` is the name by which one can ask for that."""
        path = self.folder / f"{seed}.png"
        noise(seed).save(path)
        files = {"files": ("photo.png", path.read_bytes())}
        answer = self.http.post("/upload", files=files, params={"upload_id": progress or ""})
        [name] = answer.json()
        return str(name)

    def join(
        self,
        event: str,
        data: list[Any],
        session: str,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Send an event to the queue as the page does."""
        body = {"data": data, "fn_index": self.events[event], "session_hash": session} | more
        return self.http.post("/queue/join", content=json.dumps(body), headers=headers)

    def ask(
        self, event: str, data: list[Any], headers: dict[str, str] | None = None, **more: Any
    ) -> str:
        """Send an event and return what comes back, as text."""
        session = f"session{next(self._sessions)}"
        joined = self.join(event, data, session, headers, **more)
        if joined.status_code != 200:
            return joined.text
        lines = []
        with self.http.stream("GET", "/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                lines.append(line)
                if "process_completed" in line or "close_stream" in line:
                    break
        return "\n".join(lines)

    def snapshot(self) -> dict[str, float]:
        """Return every file beside the uploads, and when it changed."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {
            str(path): path.stat().st_ctime
            for path in files
            if not path.is_relative_to(self.uploads.path)
        }


@contextmanager
def served_page(folder: Path) -> Iterator[Site]:
    """Serve a small model from an empty folder until the block ends."""
    fetched: list[str] = []

    async def fetch(url: str, *_: Any, **__: Any) -> Any:
        fetched.append(url)
        raise ValueError("fetched")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", "")
        patch.setenv("HF_TOKEN", MARKER)
        patch.setattr("space.app.MAX_FILE_BYTES", MAX_FILE_BYTES)
        # Addresses that count as public can't be reached here: what would fetch them says so.
        patch.setattr("gradio.processing_utils.async_ssrf_protected_download", fetch)
        patch.setattr("gradio.routes.secure_url_stream_response", fetch)
        site = Site(folder, fetched)
        yield site
        site.http.close()
        site.app.close(verbose=False)
        site.uploads.remove()
        # What it leaves open is collected here, where warnings of it are ignored.
        del site
        gc.collect()
