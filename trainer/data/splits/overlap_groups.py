"""Images of a collection that show the same piece of surface, by file name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from datasets import Dataset
from pydantic import BaseModel, ConfigDict

from trainer.data.image_record import image_digest
from trainer.data.images.decoding import open_image
from trainer.data.overlap_search import SEARCH_VERSION, Overlap, find_overlaps, group_images
from trainer.data.overlap_search.orientations import NAMES, Array
from trainer.errors import DataError
from trainer.monitoring.phases import PHASES
from trainer.runtime.cache import cache_folder, cache_is_optional
from trainer.runtime.files import replaced_whole

OVERLAPS_FILE = "overlaps.json"


class SharedSurface(BaseModel):
    """Two images that show the same piece of surface.

    N files with equal pixels are N - 1 pairs, of the first one and each other one; pairs with other
    images name only the first one.

    `file_b`, after `turn`, lies at (`shift_y`, `shift_x`) pixels in `file_a`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_a: str
    file_b: str
    label_a: str
    label_b: str
    turn: int
    """Number of a quarter turn or mirror image, see `trainer.data.overlap_search.orientations`."""
    turn_in_words: str
    shift_y: int
    shift_x: int
    shared_area: float
    """Share of the smaller image that the other one shows too."""
    similarity: float
    """Correlation of the texture in the shared area, at most 1."""
    mean_difference: float
    """Mean difference of the shared pixels in gray levels."""
    copy_of_a: bool = False
    """Whether `file_b` holds the same pixels as `file_a`."""
    same_view: bool = False
    """Whether `file_b` shows the view of `file_a`, as very many images do; its pairs with others
    are then those of `file_a`."""

    @property
    def a_stands_for_b(self) -> bool:
        """Whether what `file_b` shares with other images follows from `file_a`."""
        return self.copy_of_a or self.same_view


@dataclass(frozen=True)
class Surfaces:
    """The pairs of a collection, and the groups that they form.

    Attributes:
        pairs: images that share surface; for copies, see `SharedSurface`.
        groups: group number by file; images that overlap, directly or in a chain, share it.
    """

    pairs: list[SharedSurface]
    groups: dict[str, int]

    @cached_property
    def stand_in(self) -> dict[str, str]:
        """The representative of each copy, and of each image of a repeated view."""
        first: dict[str, str] = {}
        # Sorted by first file, so that a representative is known before it is used.
        for pair in self.pairs:
            if pair.a_stands_for_b:
                first[pair.file_b] = first.get(pair.file_a, pair.file_a)
        return first

    def write(self, folder: Path) -> None:
        """Write the pairs as `overlaps.json`, whole or not at all."""
        found = _Overlaps(images=_digest(self.groups), pairs=self.pairs)
        # Runs on the same images may start at the same moment.
        with replaced_whole(folder / OVERLAPS_FILE, shared=True) as partial:
            partial.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")


def find_surfaces(images: Dataset, cache_dir: Path | None) -> Surfaces:
    """Return the images that show the same surface, from the cache if the files are the same.

    Args:
        images: with the columns that `trainer.data.sources` describes.
        cache_dir: folder of cached searches; None is the user's cache folder.

    Raises:
        DataError: the cached result is damaged.
    """
    root = cache_folder("overlaps", cache_dir)
    folder, found = root / _search_digest(images), None
    with cache_is_optional(root):
        found = read_surfaces(folder, images["file"][:])
    if found is None:
        PHASES.start("compare")
        found = survey(images)
        with cache_is_optional(root):
            folder.mkdir(parents=True, exist_ok=True)
            found.write(folder)
    return found


def _search_digest(images: Dataset) -> str:
    """Return a fingerprint of names, labels and contents of images, and of the search itself."""
    digest = hashlib.sha256(f"search {SEARCH_VERSION}".encode())
    lines = [f"{row['file']}\t{row['label']}\t{image_digest(row)}" for row in images]
    names = images.features["label"].names
    digest.update("\n".join([*names, *sorted(lines)]).encode())
    return digest.hexdigest()[:32]


def survey(images: Dataset) -> Surfaces:
    """Compare all images with each other; takes some seconds for a thousand.

    Args:
        images: with the columns that `trainer.data.sources` describes.
    """

    def read(row: int) -> Array:
        return np.asarray(open_image(images[int(row)]).convert("L"))

    # One copy represents all: many copies would displace other similar images.
    copies = _exact_copies(read, len(images))
    first = np.array([rows[0] for rows in copies])
    shapes = np.array(images["size_px"][:])[first, ::-1]
    found = [
        replace(pair, a=int(first[pair.a]), b=int(first[pair.b]))
        for pair in find_overlaps(shapes, lambda index: read(first[index]))
    ]
    different = len(found)
    same = Overlap(0, 0, 0, 0, 0, shared_area=1.0, similarity=1.0, mean_difference=0.0)
    # All pairs of thousands of black frames would be millions.
    found += [replace(same, a=rows[0], b=row) for rows in copies for row in rows[1:]]
    is_copy = [place >= different for place in range(len(found))]
    files, labels = images["file"][:], images.features["label"].int2str(images["label"][:])
    pairs = [
        SharedSurface(
            file_a=files[pair.a],
            file_b=files[pair.b],
            label_a=labels[pair.a],
            label_b=labels[pair.b],
            turn=pair.turn,
            turn_in_words=NAMES[pair.turn],
            shift_y=pair.shift_y,
            shift_x=pair.shift_x,
            shared_area=pair.shared_area,
            similarity=pair.similarity,
            mean_difference=pair.mean_difference,
            copy_of_a=copied,
            same_view=pair.a_stands_for_b,
        )
        for pair, copied in sorted(
            zip(found, is_copy, strict=True), key=lambda entry: (entry[0].a, entry[0].b)
        )
    ]
    return join_groups(pairs, files)


def _exact_copies(read: Callable[[int], Array], images: int) -> list[list[int]]:
    """Return the rows of each distinct picture, independent of the file format."""
    rows: dict[tuple[object, ...], list[int]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, pixels in enumerate(pool.map(read, range(images))):
            digest = hashlib.sha256(pixels.tobytes()).digest()
            rows.setdefault((pixels.shape, digest), []).append(row)
    return list(rows.values())


def join_groups(pairs: list[SharedSurface], files: list[str]) -> Surfaces:
    """Return the surfaces of these files, given the pairs."""
    place = {file: index for index, file in enumerate(files)}
    links = [(place[pair.file_a], place[pair.file_b]) for pair in pairs]
    return Surfaces(pairs, dict(zip(files, group_images(len(files), links), strict=True)))


def read_surfaces(folder: Path, files: list[str]) -> Surfaces | None:
    """Read the file of `Surfaces.write`; None if it is missing or of other images.

    Raises:
        DataError: the file is damaged.
    """
    file = folder / OVERLAPS_FILE
    if not file.exists():
        return None
    try:
        found = _Overlaps.model_validate_json(file.read_bytes())
        if found.images != _digest(files):
            return None
        known = set(files)
        if strays := [p for p in found.pairs if not {p.file_a, p.file_b} <= known]:
            raise ValueError(f"it names {strays[0].file_a} and {strays[0].file_b}")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file}, the list of overlapping images, is damaged. Remove it; then the images are "
            "compared again."
        ) from error
    return join_groups(found.pairs, files)


class _Overlaps(BaseModel):
    """The content of `overlaps.json`."""

    images: str
    """Fingerprint of the names of all images that were compared."""
    pairs: list[SharedSurface]


def _digest(files: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()
