"""The delay of predict.py --watch: from a complete file to its row on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import tyro

from benchmarks.measurement import Measurement, number_column, text_column
from trainer.synthetic.samples import draw_image

PREDICT = Path(__file__).parents[1] / "trainer" / "predict.py"
LOOK_S = 0.0005
LONGEST_S = 60.0


@dataclass(frozen=True)
class Settings:
    """Time the answers to images that appear in a folder, one after another."""

    folder: Path
    """The published folder of a finished run."""
    images: int = 50
    """Number of images for each way to appear."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def write(drawn: Path, image: Path) -> None:
    """Write a file and close it."""
    image.write_bytes(drawn.read_bytes())


WAYS: dict[str, Callable[[Path, Path], object]] = {
    "written and closed": write,
    "moved in": shutil.move,
    "linked: no event says that it is complete": os.link,
}


def main(settings: Settings) -> None:
    """Print the table."""
    measurement = Measurement(
        [
            text_column("The image is"),
            number_column("Median", "{:.0f} ms"),
            number_column("95th of 100", "{:.0f} ms"),
            number_column("Longest", "{:.0f} ms"),
        ],
        f"{settings.images} drawn images each, of 200 × 200 px",
    )
    with tempfile.TemporaryDirectory() as temporary:
        inside, table = Path(temporary) / "in", Path(temporary) / "out.csv"
        drawn = Path(temporary) / "drawn.png"
        inside.mkdir()
        watching = subprocess.Popen(
            [
                *(sys.executable, PREDICT, inside, "--watch", "--output", table),
                *("--model", f"local-dir:{settings.folder}"),
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            _appear(inside, drawn, table, "first", write)
            for name, way in WAYS.items():
                delays = sorted(
                    1000 * _appear(inside, drawn, table, f"{name[:6]}{number}", way)
                    for number in range(settings.images)
                )
                measurement.add(name, median(delays), delays[int(0.95 * len(delays))], delays[-1])
        finally:
            watching.terminate()
            watching.wait()
    measurement.write(settings.json)


def _appear(
    inside: Path, drawn: Path, table: Path, name: str, way: Callable[[Path, Path], object]
) -> float:
    """Let an image appear; return the seconds until its row is on disk."""
    drawn.unlink(missing_ok=True)
    draw_image("Patches", hash(name) % 1000).save(drawn)
    rows = _rows(table)
    way(drawn, inside / f"{name}.png")
    complete = time.perf_counter()
    # The first one waits for the header, too.
    while _rows(table) <= max(rows, 1):
        if time.perf_counter() > complete + LONGEST_S:
            raise TimeoutError(f"No row for {name}.")
        time.sleep(LOOK_S)
    return time.perf_counter() - complete


def _rows(table: Path) -> int:
    return table.read_bytes().count(b"\n") if table.exists() else 0


if __name__ == "__main__":
    main(tyro.cli(Settings))
