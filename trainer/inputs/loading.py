"""Data loading: images decoded once, and an order that a resumed run repeats exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import numpy.typing as npt
import psutil
import pyarrow.compute
import torch
from torch.utils.data import Dataset, Sampler
from tqdm import tqdm

from space.inference.core.tiling import cut
from trainer.data.images.decoding import open_image
from trainer.inputs.augment import plain_transform
from trainer.inputs.draws import draw, mixed_seed, tile_seeds
from trainer.inputs.shapes import tile_counts
from trainer.runtime.system import core_count

# The share of free memory that decoded images may take.
MEMORY_SHARE = 0.25
# The size of a write to disk.
CHUNK_BYTES = 2**26
# Enough that threads seldom wait for the last image of others, few enough to stop soon.
ROWS_PER_THREAD = 16


class EpochSampler(Sampler[tuple[int, int]]):
    """Yield (epoch, index) of every image, in an order that depends on seed and epoch alone.

    If the last batch had one image, it is dropped, another one in each epoch: batch normalization
    needs a variance.

    Args:
        images: their number.
        batch_size: images per batch.
        seed: of the run.

    Attributes:
        epoch: of the next order.
        first: how many of its images to skip, because they were used before a stop.
    """

    def __init__(self, images: int, batch_size: int, seed: int) -> None:
        self.images, self.seed, self.epoch, self.first = images, seed, 0, 0
        lone = images > batch_size > 1 and images % batch_size == 1
        self.used = images - lone

    def __len__(self) -> int:
        return self.used

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, self.epoch))
        order = torch.randperm(self.images, generator=generator).tolist()
        for index in order[self.first : self.used]:
            yield self.epoch, index


def scaled_tiles(row: dict[str, Any], data_config: dict[str, Any], *, tile: bool) -> torch.Tensor:
    """Decode an image and scale its tiles: 8-bit, [tile, 3, height, width]."""
    transform, image = plain_transform(data_config), open_image(row)
    return torch.stack([transform(each) for each in (cut(image) if tile else [image])])


def decode(
    split: datasets.Dataset, data_config: dict[str, Any], file: Path, *, tile: bool = False
) -> datasets.Dataset:
    """Decode each image and scale its tiles once, on all cores.

    Args:
        split: images as `trainer.data.sources` finds them.
        data_config: timm's, with the size of the network's input.
        file: a memory-mapped file for the pixels, used if they do not fit into memory.
        tile: whether long images are cut into squares.

    Returns:
        rows of `pixels`, the bytes of an 8-bit tensor [tile, 3, height, width].
    """
    counts = tile_counts(split["size_px"][:], tile=tile)
    tile_bytes = math.prod(data_config["input_size"])
    fits = sum(counts) * tile_bytes < MEMORY_SHARE * psutil.virtual_memory().available
    file.parent.mkdir(parents=True, exist_ok=True)
    threads = core_count()
    with (
        tqdm(total=len(split), desc="decoding", unit="image", leave=False, disable=None) as bar,
        ThreadPoolExecutor(threads) as pool,
    ):

        def decode_row(row: dict[str, Any]) -> bytes:
            return scaled_tiles(row, data_config, tile=tile).numpy().tobytes()

        def decode_rows(columns: dict[str, list[Any]]) -> dict[str, list[bytes]]:
            rows = (
                dict(zip(columns, values, strict=True))
                for values in zip(*columns.values(), strict=True)
            )
            pixels = []
            # In the order of the rows; so is the first error.
            for decoded in pool.map(decode_row, rows):
                pixels.append(decoded)
                bar.update()
            return {"pixels": pixels}

        return split.map(
            decode_rows,
            batched=True,
            batch_size=ROWS_PER_THREAD * threads,
            remove_columns=split.column_names,
            features=datasets.Features({"pixels": datasets.Value("binary")}),
            keep_in_memory=fits,
            cache_file_name=None if fits else str(file),
            # The images may have changed since the run was stopped.
            load_from_cache_file=False,
            writer_batch_size=max(1, CHUNK_BYTES // (tile_bytes * max(counts, default=1))),
            new_fingerprint=file.stem,
        )


# Of an image: its class index, or 1 for each of its defects.
Target = int | list[float]


class PlainImages(Dataset[tuple[torch.Tensor, Target]]):
    """Images without augmentation, as the published model sees them: [tile, 3, height, width]."""

    def __init__(
        self, pixels: datasets.Dataset, labels: Sequence[Target], data_config: dict[str, Any]
    ) -> None:
        self.pixels, self.labels = pixels.data.column("pixels"), labels
        self.shape = tuple(data_config["input_size"])

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def tile_bytes(self) -> int:
        """Bytes of a tile."""
        return math.prod(self.shape)

    @property
    def tile_counts(self) -> npt.NDArray[np.int64]:
        """Number of tiles of each image."""
        sizes_bytes = pyarrow.compute.binary_length(self.pixels).to_numpy()
        counts: npt.NDArray[np.int64] = sizes_bytes.astype(np.int64) // self.tile_bytes
        return counts

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Target]:
        # Reading the Arrow column is several times faster than reading a row of the dataset.
        content = bytearray(self.pixels[index].as_buffer())
        pixels = torch.frombuffer(content, dtype=torch.uint8)
        return pixels.view(-1, *self.shape), self.labels[index]


class TrainingImages(Dataset[tuple[tuple[torch.Tensor, torch.Tensor], Target]]):
    """Images, and the random numbers of each tile for `Augment`, drawn from seed, epoch and index.

    Args:
        plain: the images.
        seed: of the run.
        whole_from: the first epoch (counted from 1) without geometric augmentation.
    """

    def __init__(self, plain: PlainImages, seed: int, whole_from: float = math.inf) -> None:
        self.plain, self.seed, self.whole_from = plain, seed, whole_from
        self._drawn_epoch: int | None = None

    def __getitem__(self, key: tuple[int, int]) -> tuple[tuple[torch.Tensor, torch.Tensor], Target]:
        epoch, index = key
        pixels, label = self.plain[index]
        draws = self.draws(epoch)
        first = self._first_tiles[index]
        return (pixels, draws[first : first + len(pixels)]), label

    def draws(self, epoch: int) -> torch.Tensor:
        """Return the random numbers of all tiles of all images in an epoch: [tile, number]."""
        if epoch != self._drawn_epoch:
            counts = self.plain.tile_counts
            images = np.arange(len(counts), dtype=np.uint64)
            seeds = tile_seeds(counts, self.seed, epoch, images)
            self._draws = draw(seeds, whole=epoch >= self.whole_from)
            self._first_tiles = np.cumsum(counts) - counts
            self._drawn_epoch = epoch
        return self._draws


class Batch(NamedTuple):
    """The images of a batch, tile after tile.

    Attributes:
        inputs: of all tiles: pixels, with their random numbers in training, or features.
        counts: number of tiles of each image.
        targets: class index of each image, or 1 for each of its defects, [image, class].
    """

    inputs: Any
    counts: list[int]
    targets: torch.Tensor


def stack_tiles(items: Sequence[tuple[Any, Target]]) -> Batch:
    """Return a batch of (inputs, label) pairs, whose inputs have a row for each tile."""
    inputs, labels = zip(*items, strict=True)
    targets = torch.tensor(labels)
    if isinstance(inputs[0], torch.Tensor):
        return Batch(torch.cat(inputs), [len(tiles) for tiles in inputs], targets)
    stacked = tuple(torch.cat(rows) for rows in zip(*inputs, strict=True))
    return Batch(stacked, [len(tiles) for tiles, *_ in inputs], targets)
