"""predict.py on folders of images: its rate next to the engine's own, its memory and its start.

The engine's own rate is that of the network alone, on images that are decoded and scaled already,
measured right before and right after. Beside it, predict.py decodes and scales the images, decides,
and writes the rows, on the same processor. Its rate is counted from the first rows in the table to
the last ones; the start is the time from the command to the first rows. The memory is that of the
process plus the unshared memory of the processes that decode.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from benchmarks.measurement import Measurement, number_column, text_column
from benchmarks.program import ROOT, run
from benchmarks.random_model import LABELS, write_published
from space.inference.predictor import Predictor
from trainer.synthetic.samples import draw_image

BATCH = 16
LOOK_S = 0.002
# Drawn once; the folders hold links to them.
DRAWN = 64


@dataclass(frozen=True)
class Settings:
    """Measure predict.py on folders of drawn images."""

    networks: tuple[str, ...] = ("tf_efficientnet_lite0:160", "convnext_tiny:224")
    """timm's names, each with the side of its input in pixels."""
    images: tuple[int, ...] = (2_000, 10_000)
    """Sizes of the folders for the first network."""
    other_images: int = 400
    """Size of the folder for the other networks."""
    bf16: bool = True
    """Run in bfloat16 where the processor has it."""
    engine_seconds: float = 4
    """To measure the engine alone, twice for each network."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


@dataclass
class Growth:
    """Notes when a table grows, in a thread of its own; a context.

    Attributes:
        sizes: moment and bytes of each growth.
    """

    table: Path
    sizes: list[tuple[float, int]] = field(default_factory=list)

    def __enter__(self) -> Growth:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.started = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        last = 0
        while not self._end.wait(LOOK_S):
            size = self.table.stat().st_size if self.table.exists() else 0
            if size > last:
                last = size
                self.sizes.append((time.perf_counter(), size))

    def first_rows_and_rate(self) -> tuple[float, float]:
        """Return the seconds to the first rows, and the rows a second after them."""
        content = self.table.read_bytes()
        header = content.index(b"\n") + 1
        moments = [(at, size) for at, size in self.sizes if size > header]
        (first_at, first_size), (last_at, _) = moments[0], moments[-1]
        rows = content.count(b"\n", first_size)
        rate = rows / (last_at - first_at) if rows else float("nan")
        return first_at - self.started, rate


def main(settings: Settings) -> None:
    """Print a row for each network and folder."""
    measurement = Measurement(
        [
            text_column("Network"),
            number_column("Images", "{:,}"),
            text_column("Engine"),
            number_column("First rows after", "{:.1f} s"),
            number_column("predict.py", "{:.1f} images/s"),
            number_column("Engine alone", "{:.1f} images/s"),
            number_column("Share", "{:.0f} %"),
            number_column("Peak memory", "{:.2f} GB"),
        ],
        f"drawn images of 200 × 200 px, batches of {BATCH}, random weights",
    )
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        # Converted models of this benchmark are nobody's.
        os.environ["XDG_CACHE_HOME"] = str(place / "cache")
        for number, network in enumerate(settings.networks):
            name, _, side = network.partition(":")
            folder = place / name
            write_published(name, int(side), folder, bf16=settings.bf16)
            predictor = Predictor.load(f"local-dir:{folder}", "auto")
            for images in settings.images if number == 0 else (settings.other_images,):
                before = engine_rate(predictor, settings.engine_seconds)
                start_s, rate, memory_gb = measure(folder, images, place)
                alone = (before + engine_rate(predictor, settings.engine_seconds)) / 2
                title, engine = f"`{name}`, {side} px", predictor.engine.name
                share = 100 * rate / alone
                measurement.add(title, images, engine, start_s, rate, alone, share, memory_gb)
    measurement.write(settings.json)


def measure(folder: Path, images: int, place: Path) -> tuple[float, float, float]:
    """Return seconds to the first rows, images a second and peak memory of predict.py."""
    inside = folder_of_images(place, images)
    table = place / f"{folder.name}-{images}.csv"
    command: list[str | Path] = [
        sys.executable,
        ROOT / "trainer" / "predict.py",
        inside,
        "--output",
        table,
    ]
    with Growth(table) as growth:
        done = run([*command, "--model", f"local-dir:{folder}"], place)
    return *growth.first_rows_and_rate(), done.memory_gb


def folder_of_images(place: Path, images: int) -> Path:
    """Return a folder of so many images, links to a few drawn ones."""
    drawn, inside = place / "drawn", place / f"images-{images}"
    if not drawn.exists():
        drawn.mkdir()
        for number in range(DRAWN):
            picture = draw_image(LABELS[number % len(LABELS)], number)
            picture.save(drawn / f"{number}.jpg", quality=92)
    if not inside.exists():
        inside.mkdir()
        for number in range(images):
            (inside / f"{number:06}.jpg").hardlink_to(drawn / f"{number % DRAWN}.jpg")
    return inside


def engine_rate(predictor: Predictor, seconds: float) -> float:
    """Return the images a second of the engine alone, in batches."""
    side = predictor.facts.preprocessing.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *side, 3), np.uint8)
    predictor.engine.run(pixels)
    start, done = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        predictor.engine.run(pixels)
        done += BATCH
    return done / (time.perf_counter() - start)


if __name__ == "__main__":
    main(tyro.cli(Settings))
