"""The Space under load: waits for single images, alone and beside batches, and its memory."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
import tyro

from benchmarks.measurement import Measurement, number_column, text_column
from trainer.synthetic.samples import draw_image

APP = Path(__file__).parents[1] / "space" / "app.py"
START_LIMIT_S = 120.0
ANSWER_LIMIT_S = 600.0
SEEDS = 16
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Settings:
    """Let many users ask one server for answers."""

    folder: Path
    """The published folder of a finished run."""
    images: Path | None = None
    """A folder of images to send; by default drawn ones."""
    users: int = 64
    """Users who send single images."""
    pause: float = 1.0
    """Seconds from an answer to the next image of the same user."""
    seconds: float = 120.0
    """Time of each measurement."""
    batches: int = 16
    """Batches that run beside the users, all at once."""
    batch_images: int = 200
    """Images of a batch."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


@dataclass
class Waits:
    """What the users of one measurement met.

    Attributes:
        seconds: from sending an image to its answer, for each image.
        errors: of requests that failed, in words.
        batches: that were answered as a whole.
    """

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    batches: int = 0

    def quantile(self, share: float) -> float | None:
        """Return a quantile of the waiting times; None if nobody got an answer."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def main(settings: Settings) -> None:
    """Print the table."""
    kind = "images of a folder" if settings.images else "drawn images of 200 × 200 px"
    measurement = Measurement(
        [
            text_column("Beside each other"),
            number_column("Answers", "{:,}"),
            number_column("Median", "{:.2f} s"),
            number_column("95th of 100", "{:.2f} s"),
            number_column("Longest", "{:.2f} s"),
            number_column("Errors", "{}"),
            text_column("Batches done"),
            number_column("Memory before", "{:,.0f} MiB"),
            number_column("after", "{:,.0f} MiB"),
        ],
        f"{kind}; {settings.pause:g} s from an answer to a user's next image; a batch has "
        f"{settings.batch_images} images; users and server on one machine",
    )
    with tempfile.TemporaryDirectory() as temporary:
        files = _files(settings, Path(temporary))
        with _served(settings.folder, Path(temporary)) as (url, server):
            # The first answers take longer.
            _measured(url, files, users=4, seconds=2, batches=0, settings=settings)
            one, many = settings.users, settings.batches
            for name, users, batches in (
                ("1 user", 1, 0),
                (f"1 user, {many} batches", 1, many),
                (f"{one} users", one, 0),
                (f"{one} users, {many} batches", one, many),
            ):
                before = _memory(server)
                waits = _measured(
                    url, files, users, settings.seconds, batches=batches, settings=settings
                )
                for error in sorted({*waits.errors})[:5]:
                    print(f"error: {error}", file=sys.stderr)
                measurement.add(
                    *(name, len(waits.seconds)),
                    *(waits.quantile(share) for share in (0.5, 0.95, 1.0)),
                    *(len(waits.errors), f"{waits.batches} of {batches}", before, _memory(server)),
                )
    measurement.write(settings.json)


def _files(settings: Settings, folder: Path) -> list[Path]:
    if settings.images:
        files = sorted(path for path in settings.images.rglob("*") if path.is_file())
        if not files:
            raise FileNotFoundError(f"{settings.images} holds no files.")
        return files
    files = [folder / f"{seed}.png" for seed in range(SEEDS)]
    for seed, file in enumerate(files):
        draw_image("Patches", seed).save(file)
    return files


def _memory(server: psutil.Process) -> float:
    """Return the memory of the server and its decoders, in MiB."""
    processes = [server, *server.children(recursive=True)]
    return float(sum(process.memory_info().rss for process in processes)) / MEBIBYTE


@contextmanager
def _served(folder: Path, work: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run the Space until the block ends; yield its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    variables = {
        "MODEL_ID": f"local-dir:{folder.absolute()}",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(work / "uploads"),
    }
    with (work / "space.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, APP], env=os.environ | variables, stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + START_LIMIT_S
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > end:
                log_text = (work / "space.log").read_text(encoding="utf-8")
                raise RuntimeError(f"The Space did not start:\n{log_text}")
            time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, trust_env=False).is_success
    except httpx2.TransportError:
        return False


def _measured(
    url: str, files: list[Path], users: int, seconds: float, *, batches: int, settings: Settings
) -> Waits:
    """Let users ask for a time, and batches run beside them until they are complete."""
    waits, end = Waits(), time.monotonic() + seconds

    def single(number: int) -> None:
        with httpx2.Client(base_url=url, timeout=ANSWER_LIMIT_S, trust_env=False) as client:
            for step in itertools.count():
                if time.monotonic() > end:
                    return
                if step:
                    time.sleep(settings.pause)
                file = files[(number * 7 + step) % len(files)]
                _noted(waits, lambda file=file: _ask_single(client, file, waits))  # type: ignore[misc]

    def batch(_: int) -> None:
        with httpx2.Client(base_url=url, timeout=ANSWER_LIMIT_S, trust_env=False) as client:
            _noted(waits, lambda: _ask_batch(client, files, settings.batch_images, waits))

    threads = [threading.Thread(target=single, args=(number,)) for number in range(users)]
    threads += [threading.Thread(target=batch, args=(number,)) for number in range(batches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits


def _noted(waits: Waits, ask: Callable[[], None]) -> None:
    """Ask, and count what fails."""
    try:
        ask()
    except (httpx2.HTTPError, RuntimeError) as error:
        waits.errors.append(f"{type(error).__name__}: {error}")


def _ask_single(client: httpx2.Client, file: Path, waits: Waits) -> None:
    began = time.perf_counter()
    _called(client, "predict", _uploaded(client, file))
    waits.seconds.append(time.perf_counter() - began)


def _ask_batch(client: httpx2.Client, files: list[Path], images: int, waits: Waits) -> None:
    chosen = [files[number % len(files)] for number in range(images)]
    uploads = {file: _uploaded(client, file) for file in {*chosen}}
    text = _called(client, "predict_batch", [uploads[file] for file in chosen])
    if text.count('"verdict"') < images:
        raise RuntimeError(f"A batch has {text.count(chr(34) + 'verdict')} of {images} answers.")
    waits.batches += 1


def _uploaded(client: httpx2.Client, file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        answer = client.post("/gradio_api/upload", files={"files": (file.name, opened)})
    [path] = answer.raise_for_status().json()
    return {"path": path, "orig_name": file.name, "meta": {"_type": "gradio.FileData"}}


def _called(client: httpx2.Client, endpoint: str, value: Any) -> str:
    """Return the events of a call.

    Raises:
        RuntimeError: the endpoint reports an error.
    """
    joined = client.post(f"/gradio_api/call/{endpoint}", json={"data": [value]})
    event = joined.raise_for_status().json()["event_id"]
    text = client.get(f"/gradio_api/call/{endpoint}/{event}").raise_for_status().text
    if "event: complete" not in text:
        raise RuntimeError(text[-300:])
    return text


if __name__ == "__main__":
    main(tyro.cli(Settings))
