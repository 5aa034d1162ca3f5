"""Time and memory of the overlap search on drawn surfaces, over the number of images."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tyro

from benchmarks.brute_force import best_places
from benchmarks.drawn_strips import SURFACES, Shot
from benchmarks.measurement import Measurement, number_column
from trainer.data.overlap_search import find_overlaps

SIDE_PX = 200
# With six crops of each piece, two thirds of the images share surface with another one.
PIECE_PX, CROPS_PER_PIECE = (400, 1000), 6
# Pairs that share less area need not be found; below the lower bound they must not be found.
MUST_BE_FOUND, MAY_BE_FOUND = 0.15, 0.10
BRUTE_FORCE_IMAGES = 64


@dataclass(frozen=True)
class Search:
    """Time, memory and results of a search.

    Attributes:
        images: number of images.
        seconds: of the search, without drawing.
        pairs: that share at least 15 % of the area.
        found: fraction of them that was found.
        false_pairs: found pairs that do not share surface.
        memory_gb: peak of the process, including all images (uint8).
    """

    images: int
    seconds: float
    pairs: int
    found: float
    false_pairs: int
    memory_gb: float


def draw_piece(number: int) -> tuple[list[Shot], list[npt.NDArray[np.uint8]]]:
    """Return crops of a piece of surface and their parameters, determined by the number."""
    rng = np.random.default_rng(number)
    names = sorted(SURFACES)
    surface = SURFACES[names[number % len(names)]](rng, PIECE_PX, rng.uniform(3, 6))
    shots = [
        Shot(
            int(rng.integers(PIECE_PX[0] - SIDE_PX + 1)),
            int(rng.integers(PIECE_PX[1] - SIDE_PX + 1)),
            turn=int(rng.integers(8)) if rng.random() < 0.1 else 0,
            brightness=rng.uniform(0.95, 1.05),
            quality=int(rng.integers(75, 96)),
        )
        for _ in range(CROPS_PER_PIECE)
    ]
    return shots, [shot.taken(surface) for shot in shots]


def draw(count: int) -> tuple[npt.NDArray[np.uint8], dict[tuple[int, int], float]]:
    """Return images [image, y, x], and the shared area of each pair that overlaps."""
    images = np.empty((count, SIDE_PX, SIDE_PX), np.uint8)
    areas: dict[tuple[int, int], float] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pieces = pool.map(draw_piece, range(-(-count // CROPS_PER_PIECE)))
        for piece, (shots, crops) in enumerate(pieces):
            first = piece * CROPS_PER_PIECE
            crops = crops[: count - first]
            images[first : first + len(crops)] = crops
            for a, b in combinations(range(len(crops)), 2):
                down, right = abs(shots[a].y - shots[b].y), abs(shots[a].x - shots[b].x)
                area = max(0, SIDE_PX - down) * max(0, SIDE_PX - right) / SIDE_PX**2
                if area:
                    areas[first + a, first + b] = area
    return images, areas


def measure(count: int) -> Search:
    """Draw images and time the search."""
    images, areas = draw(count)
    start = time.perf_counter()
    overlaps = find_overlaps(np.full((count, 2), SIDE_PX), images.__getitem__)
    seconds = time.perf_counter() - start
    found = {(pair.a, pair.b) for pair in overlaps}
    wanted = {pair for pair, area in areas.items() if area >= MUST_BE_FOUND}
    return Search(
        images=count,
        seconds=seconds,
        pairs=len(wanted),
        found=len(wanted & found) / len(wanted),
        false_pairs=sum(areas.get(pair, 0) < MAY_BE_FOUND for pair in found),
        # Linux counts in KiB, macOS in bytes.
        memory_gb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / 1e9,
    )


def measure_brute_force() -> float:
    """Return the seconds per pair of a comparison at every shift, at half resolution."""
    images, _ = draw(BRUTE_FORCE_IMAGES)
    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # Each thread compares the pairs within an equal share of the images.
        shares = np.array_split(images, os.cpu_count() or 1)
        list(pool.map(lambda share: list(best_places(list(share))), shares))
    pairs = sum(len(share) * (len(share) - 1) // 2 for share in shares)
    return (time.perf_counter() - start) / pairs


def in_own_process(function: Any, *arguments: Any) -> Any:
    """Call a function in its own process, so that its peak memory is measured separately."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


@dataclass(frozen=True)
class Settings:
    """Time, memory and results of the overlap search."""

    sizes: tuple[int, ...] = (1800, 7200, 18000)
    """Numbers of images to search."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print the table."""
    measurement = Measurement(
        [
            number_column("Images", "{:,}"),
            number_column("Search", "{:,.0f} s"),
            number_column("Per thousand images", "{:.1f} s"),
            number_column("Brute force", "{:,.0f} s"),
            number_column("Pairs found", "{:.2f} % of {:,}"),
            number_column("False pairs", "{:,}"),
            number_column("Peak memory", "{:.2f} GB"),
        ],
        f"drawn images of {SIDE_PX} px, {CROPS_PER_PIECE} of each surface; brute force: FFT of "
        f"every pair at half resolution, extrapolated from {BRUTE_FORCE_IMAGES} images",
    )
    a_pair_s = in_own_process(measure_brute_force)
    for size in settings.sizes:
        found: Search = in_own_process(measure, size)
        measurement.add(
            size,
            found.seconds,
            1000 * found.seconds / size,
            a_pair_s * size * (size - 1) / 2,
            (100 * found.found, found.pairs),
            found.false_pairs,
            found.memory_gb,
        )
    measurement.write(settings.json)


if __name__ == "__main__":
    main(tyro.cli(Settings, prog="benchmarks.overlaps"))
