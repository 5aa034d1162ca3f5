"""predict.py on folders of images: its rate next to the engine's own, its memory and its start.

The engine's own rate is that of the network alone, on images that are decoded and scaled already,
measured right before and right after. Beside it, predict.py decodes and scales the images, decides,
and writes the rows, on the same cores. So the share can't reach 100 %: the bound is the rate if the
cores did nothing but run the network, decode with Pillow and scale with Pillow, without a pause.

The rate of predict.py is counted from the first rows in the table to the last ones, and so is the
processor time of it and of the processes that decode. The start is the time from the command to the
first rows. The memory is that of the process plus the unshared memory of the processes that decode.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import tyro
from PIL import Image

from benchmarks.measurement import Measurement, number_column, text_column
from benchmarks.program import ROOT, run
from benchmarks.random_model import LABELS, write_published
from space.inference.model_config import read_config
from space.inference.model_folder import ModelFolder
from space.inference.predictor import Predictor
from trainer.runtime.system import core_count
from trainer.synthetic.samples import draw_image

BATCH = 16
LOOK_S = 0.002
# Drawn once; the folders hold links to them.
DRAWN = 64


@dataclass(frozen=True)
class Settings:
    """Measure predict.py on folders of images."""

    networks: tuple[str, ...] = ("tf_efficientnet_lite0:160", "convnext_tiny:224")
    """timm's names, each with the side of its input in pixels."""
    published: tuple[Path, ...] = ()
    """Published folders, which are measured before the networks."""
    photographs: Path | None = None
    """A folder of photographs; default: drawn images."""
    images: tuple[int, ...] = (2_000, 10_000)
    """Sizes of the folders for the first model."""
    other_images: int = 400
    """Size of the folder for the other models."""
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
        seen: moment, bytes, and processor time of the program so far, of each growth.
    """

    table: Path
    seen: list[tuple[float, int, float]] = field(default_factory=list)

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
        last, running = 0, list[psutil.Process]()
        while not self._end.wait(LOOK_S):
            size = self.table.stat().st_size if self.table.exists() else 0
            if size > last:
                last = size
                running = running or psutil.Process().children(recursive=True)
                self.seen.append((time.perf_counter(), size, sum(map(processor_s, running))))

    def measured(self) -> tuple[float, float, float]:
        """Return seconds to the first rows; then rows a second, and processor ms for a row."""
        content = self.table.read_bytes()
        header = content.index(b"\n") + 1
        growths = [each for each in self.seen if each[1] > header]
        (first_at, first_size, first_s), (last_at, _, last_s) = growths[0], growths[-1]
        rows = content.count(b"\n", first_size)
        if not rows:
            return first_at - self.started, float("nan"), float("nan")
        rate, work_s = rows / (last_at - first_at), (last_s - first_s) / rows
        return first_at - self.started, rate, 1000 * work_s


def processor_s(process: psutil.Process) -> float:
    """Return the processor time of a process so far, in seconds; 0 if it has ended."""
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system)


def main(settings: Settings) -> None:
    """Print a row for each model and folder."""
    measurement = Measurement(
        [
            text_column("Model"),
            number_column("Images", "{:,}"),
            text_column("Engine"),
            number_column("First rows after", "{:.1f} s"),
            number_column("predict.py", "{:.1f} images/s"),
            number_column("Engine alone", "{:.1f} images/s"),
            number_column("Share of the engine", "{:.0f} %"),
            number_column("Bound", "{:.0f} %"),
            number_column("Processor time an image, predict.py / engine", "{:.2f} / {:.2f} ms"),
            number_column("Peak memory", "{:.2f} GB"),
        ],
        f"{'photographs' if settings.photographs else 'drawn images of 200 × 200 px'}, batches of "
        f"{BATCH}",
    )
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        # Converted models of this benchmark are nobody's.
        os.environ["XDG_CACHE_HOME"] = str(place / "cache")
        for number, (title, folder) in enumerate(models(settings, place)):
            predictor = Predictor.load(f"local-dir:{folder}", "auto")
            side = predictor.facts.preprocessing.size_px[0]
            for images in settings.images if number == 0 else (settings.other_images,):
                inside = folder_of_images(place, images, settings.photographs)
                before = engine_rate(predictor, settings.engine_seconds)
                start_s, rate, work_ms, memory_gb = measure(folder, inside, place)
                after = engine_rate(predictor, settings.engine_seconds)
                alone, alone_ms = ((one + two) / 2 for one, two in zip(before, after, strict=True))
                plain_ms = plain_preparation_ms(predictor, inside)
                bound = 1000 / (1000 / alone + plain_ms / core_count()) / alone
                measurement.add(
                    *(f"`{title}`, {side} px", images, predictor.engine.name, start_s, rate, alone),
                    *(100 * rate / alone, 100 * bound, (work_ms, alone_ms), memory_gb),
                )
    measurement.write(settings.json)


def models(settings: Settings, place: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and published folder of the models."""
    for folder in settings.published:
        yield read_config(ModelFolder(folder)).architecture, folder.absolute()
    for network in settings.networks:
        name, _, side = network.partition(":")
        write_published(name, int(side), place / name, bf16=settings.bf16)
        yield f"{name}", place / name


def measure(folder: Path, images: Path, place: Path) -> tuple[float, float, float, float]:
    """Return what `Growth` measures of predict.py, and its peak memory."""
    table = place / f"{folder.parent.name}-{folder.name}-{images.name}.csv"
    command: list[str | Path] = [sys.executable, ROOT / "trainer" / "predict.py", images]
    with Growth(table) as growth:
        done = run([*command, "--output", table, "--model", f"local-dir:{folder}"], place)
    return *growth.measured(), done.memory_gb


def folder_of_images(place: Path, images: int, photographs: Path | None = None) -> Path:
    """Return a folder of so many images, links to a few drawn ones or to photographs."""
    inside = place / f"images-{images}"
    if inside.exists():
        return inside
    sources = (
        sorted(each for each in photographs.rglob("*") if each.is_file()) if photographs else []
    )
    if not sources:
        for number in range(DRAWN):
            sources.append(place / f"{number}.jpg")
            picture = draw_image(LABELS[number % len(LABELS)], number)
            picture.save(sources[-1], quality=92)
    inside.mkdir()
    for number in range(images):
        # A prime step: also a small folder has images of all classes.
        source = sources[number * 97 % len(sources)]
        (inside / f"{number:06}{source.suffix}").symlink_to(source.absolute())
    return inside


def engine_rate(predictor: Predictor, seconds: float) -> tuple[float, float]:
    """Return images a second of the engine alone, in batches, and processor ms for an image.

    As many batches run at the same time as in predict.py.
    """
    side, beside = predictor.facts.preprocessing.size_px, predictor.engine.batches_at_once
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *side, 3), np.uint8)
    predictor.engine.run(pixels)
    start, start_s = time.perf_counter(), time.process_time()

    def repeat(_: int) -> int:
        done = 0
        while time.perf_counter() < start + seconds:
            predictor.engine.run(pixels)
            done += BATCH
        return done

    with ThreadPoolExecutor(beside) as threads:
        done = sum(threads.map(repeat, range(beside)))
    work_s = time.process_time() - start_s
    return done / (time.perf_counter() - start), 1000 * work_s / done


def plain_preparation_ms(predictor: Predictor, images: Path) -> float:
    """Return the processor time of Pillow to decode and scale an image, in ms."""
    contents = [each.read_bytes() for each in islice(sorted(images.iterdir()), 2 * DRAWN)]
    start_s = time.process_time()
    for content in contents:
        predictor.facts.preprocessing.pixels(Image.open(io.BytesIO(content)).convert("RGB"))
    return 1000 * (time.process_time() - start_s) / len(contents)


if __name__ == "__main__":
    main(tyro.cli(Settings))
