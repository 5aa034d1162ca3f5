"""The Space under load: waits for single images, alone, beside heatmaps and beside batches.

The clients run in one process on the same machine. Their images are read before, so that the server
gets nearly all of the cores; the table says how much CPU time both took.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import psutil
import tyro

from benchmarks.measurement import Measurement, number_column, text_column
from benchmarks.page_clients import Crowd, Upload, Waits, ask
from benchmarks.space_server import cpu_s, memory_mib, served
from trainer.synthetic.samples import draw_image

SEEDS = 16
MOST_FILES = 200
SAMPLE_S = 1.0
# Until the first measurement: engines are compiled for each number of images when it is needed.
WARM_UP = Crowd(users=24, pause_s=0.0, heatmaps=1, batches=1, batch_images=40)


@dataclass(frozen=True)
class Settings:
    """Let many users ask one server for answers."""

    folder: Path
    """The published folder of a finished run."""
    images: Path | None = None
    """A folder of images to send; by default drawn ones."""
    users: tuple[int, ...] = (64,)
    """Users who send single images; one measurement each."""
    pause: tuple[float, ...] = (1.0,)
    """Seconds from an answer to the next image of the same user; one measurement each."""
    heatmaps: int = 0
    """Clients beside the users who ask for one heatmap after another; 0 measures none."""
    batches: int = 0
    """Batches beside the users, all at once; 0 measures none."""
    batch_images: int = 200
    """Images of a batch."""
    seconds: float = 120.0
    """Time of each measurement; beside batches it lasts until they are complete."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print the table."""
    kind = "photographs" if settings.images else "drawn images of 200 × 200 px"
    measurement = Measurement(
        [
            text_column("Beside each other"),
            number_column("Answers", "{:,}"),
            number_column("Median", "{:.2f} s"),
            number_column("95th of 100", "{:.2f} s"),
            number_column("Longest", "{:.2f} s"),
            number_column("Errors", "{}"),
            text_column("Also answered"),
            number_column(
                "Memory after a quarter, half and all of the time", "{:,.0f}, {:,.0f}, {:,.0f} MiB"
            ),
            number_column("CPU of server and clients", "{:.0f} s, {:.0f} s"),
        ],
        f"{kind}; a pause from an answer to the same user's next image; server and clients on one "
        "machine, the clients in one process",
    )
    with tempfile.TemporaryDirectory() as temporary:
        uploads = _uploads(settings.images, Path(temporary))
        model_id = f"local-dir:{settings.folder.absolute()}"
        with served(model_id, Path(temporary)) as (url, server):
            asyncio.run(ask(url, uploads, WARM_UP, seconds=0.1))
            for crowd in _crowds(settings):
                _measure(url, server, uploads, crowd, settings.seconds, measurement)
    measurement.write(settings.json)


def _crowds(settings: Settings) -> Iterator[Crowd]:
    for users, pause in product(settings.users, settings.pause):
        yield Crowd(users, pause)
        if settings.heatmaps:
            yield Crowd(users, pause, heatmaps=settings.heatmaps)
        if settings.batches:
            yield Crowd(users, pause, 0, settings.batches, settings.batch_images)


def _measure(
    url: str,
    server: psutil.Process,
    uploads: list[Upload],
    crowd: Crowd,
    seconds: float,
    measurement: Measurement,
) -> None:
    """Add a row."""
    before, own = cpu_s(server), time.process_time()
    with _memory_over_time(server) as memory:
        waits = asyncio.run(ask(url, uploads, crowd, seconds))
    for error in sorted({*waits.errors})[:5]:
        print(f"error: {error}", file=sys.stderr)
    measurement.add(
        _name(crowd),
        len(waits.seconds),
        *(waits.quantile(share) for share in (0.5, 0.95, 1.0)),
        len(waits.errors),
        _also(waits, crowd),
        tuple(memory[min(len(memory) - 1, len(memory) * quarter // 4)] for quarter in (1, 2, 4)),
        (cpu_s(server) - before, time.process_time() - own),
    )


def _name(crowd: Crowd) -> str:
    parts = [f"{crowd.users} user{'s' * (crowd.users != 1)} who pause {crowd.pause_s:g} s"]
    if crowd.heatmaps:
        parts.append(f"{crowd.heatmaps} asking for heatmaps")
    if crowd.batches:
        parts.append(f"{crowd.batches} batches of {crowd.batch_images}")
    return ", ".join(parts)


def _also(waits: Waits, crowd: Crowd) -> str:
    if crowd.heatmaps:
        return f"{waits.heatmaps} heatmaps"
    if crowd.batches:
        return f"{waits.batches} of {crowd.batches} batches in {waits.last_batch_s:.0f} s"
    return ""


def _uploads(images: Path | None, folder: Path) -> list[Upload]:
    if images:
        files = sorted(path for path in images.rglob("*") if path.is_file())
        if not files:
            raise FileNotFoundError(f"{images} holds no files.")
        # Of all classes.
        files = files[:: max(1, len(files) // MOST_FILES)]
    else:
        files = [folder / f"{seed}.png" for seed in range(SEEDS)]
        for seed, file in enumerate(files):
            draw_image("Patches", seed).save(file)
    return [Upload.of(file) for file in files]


@contextmanager
def _memory_over_time(server: psutil.Process) -> Iterator[list[float]]:
    """Sample the memory of a server, in MiB, until the block ends."""
    samples, ended = [memory_mib(server)], threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_S):
            samples.append(memory_mib(server))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    main(tyro.cli(Settings))
