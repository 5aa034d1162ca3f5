"""Clients of the Space in one event loop: they take little of the cores that the server needs."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

ANSWER_LIMIT_S = 900.0
BOUNDARY = "page-load-boundary"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@dataclass(frozen=True)
class Upload:
    """An image as its clients send it, prepared before the measurement.

    Attributes:
        name: of the file.
        body: multipart.
    """

    name: str
    body: bytes

    @classmethod
    def of(cls, file: Path) -> Upload:
        """Read a file."""
        head = (
            f"--{BOUNDARY}\r\n"
            f'Content-Disposition: form-data; name="files"; filename="{file.name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        end = f"\r\n--{BOUNDARY}--\r\n"
        return cls(file.name, head.encode() + file.read_bytes() + end.encode())


@dataclass(frozen=True)
class Crowd:
    """Who asks the server at the same time.

    Attributes:
        users: who send single images.
        pause_s: from an answer to the next image of the same user.
        heatmaps: clients who ask for one heatmap after another.
        batches: all at once.
        batch_images: of each batch.
    """

    users: int
    pause_s: float = 1.0
    heatmaps: int = 0
    batches: int = 0
    batch_images: int = 200


@dataclass
class Waits:
    """What the clients of one measurement met.

    Attributes:
        seconds: from sending an image to its answer, for each image.
        errors: of requests that failed, in words.
        heatmaps: that were answered.
        batches: that were answered as a whole.
        last_batch_s: from the start to the end of the last batch.
    """

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    heatmaps: int = 0
    batches: int = 0
    last_batch_s: float = 0.0

    def quantile(self, share: float) -> float | None:
        """Return a quantile of the waiting times; None if nobody got an answer."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

    async def count_failure(self, request: Awaitable[None]) -> bool:
        """Return whether a request is answered; if not, note why."""
        try:
            await request
        except (httpx2.HTTPError, RuntimeError) as error:
            self.errors.append(f"{type(error).__name__}: {error}")
            return False
        return True


async def ask(url: str, uploads: list[Upload], crowd: Crowd, seconds: float) -> Waits:
    """Let clients ask for a time, and beyond it until their batches are complete."""
    waits, began = Waits(), time.monotonic()
    batches: list[asyncio.Task[None]] = []

    def over() -> bool:
        return time.monotonic() > began + seconds and all(batch.done() for batch in batches)

    def chosen(number: int, step: int) -> Upload:
        return uploads[(number * 7 + step) % len(uploads)]

    async def user(number: int, visitor: Visitor) -> None:
        # Not all in the same moment, which people never are.
        await asyncio.sleep(crowd.pause_s * number / max(1, crowd.users))
        for step in itertools.count():
            if over():
                return
            sent = time.perf_counter()
            if await waits.count_failure(visitor.predict(chosen(number, step))):
                waits.seconds.append(time.perf_counter() - sent)
            await asyncio.sleep(crowd.pause_s)

    async def explained(number: int, visitor: Visitor) -> None:
        for step in itertools.count():
            if over():
                return
            answered = await waits.count_failure(visitor.heatmap(chosen(number, step)))
            waits.heatmaps += answered

    async def batch(number: int, visitor: Visitor) -> None:
        some = [chosen(number, step) for step in range(crowd.batch_images)]
        # Not in one line: `+=` reads the old number before it awaits.
        answered = await waits.count_failure(visitor.predict_batch(some))
        waits.batches += answered
        waits.last_batch_s = time.monotonic() - began

    async def work(kind: Any, number: int) -> None:
        async with httpx2.AsyncClient(
            base_url=url, timeout=ANSWER_LIMIT_S, trust_env=False
        ) as client:
            await kind(number, Visitor(client, f"{kind.__name__}-{number}"))

    batches += [asyncio.create_task(work(batch, number)) for number in range(crowd.batches)]
    others = [work(user, number) for number in range(crowd.users)]
    others += [work(explained, number) for number in range(crowd.heatmaps)]
    await asyncio.gather(*others, *batches)
    return waits


@dataclass(frozen=True)
class Visitor:
    """One session of the page.

    Attributes:
        client: of its own, whose connections stay open.
        session: its name.
    """

    client: httpx2.AsyncClient
    session: str

    async def predict(self, upload: Upload) -> None:
        """Send an image, and wait for its answer."""
        await self._called("predict", await self._uploaded(upload))

    async def heatmap(self, upload: Upload) -> None:
        """Send an image, and wait for its heatmap."""
        await self._called("heatmap", await self._uploaded(upload))

    async def predict_batch(self, uploads: list[Upload]) -> None:
        """Send images one after another, and wait for the answers to all.

        Raises:
            RuntimeError: an image has no answer.
        """
        files = [await self._uploaded(upload) for upload in uploads]
        verdicts = [answer["verdict"] for answer in await self._called("predict_batch", files)]
        if len(verdicts) != len(uploads) or "error" in verdicts:
            raise RuntimeError(
                f"A batch of {len(uploads)} images has {len(verdicts)} answers, "
                f"{verdicts.count('error')} of them errors."
            )

    async def _uploaded(self, upload: Upload) -> dict[str, Any]:
        answer = await self.client.post(
            "/gradio_api/upload", content=upload.body, headers=MULTIPART
        )
        [path] = answer.raise_for_status().json()
        return {"path": path, "orig_name": upload.name, "meta": {"_type": "gradio.FileData"}}

    async def _called(self, endpoint: str, value: Any) -> Any:
        """Return the answer of an endpoint.

        Raises:
            RuntimeError: the endpoint reports an error.
        """
        body = {"data": [value], "session_hash": self.session}
        joined = await self.client.post(f"/gradio_api/call/{endpoint}", json=body)
        event = joined.raise_for_status().json()["event_id"]
        answered = await self.client.get(f"/gradio_api/call/{endpoint}/{event}")
        text = answered.raise_for_status().text
        _, complete, data = text.rpartition("event: complete\ndata: ")
        if not complete:
            raise RuntimeError(text[-300:])
        return json.loads(data)[0]
