"""Images that stay on the device give the batches of a data loader, bit for bit."""

from __future__ import annotations

import logging
from typing import Any

import datasets
import pytest
import torch
from torch.utils.data import DataLoader

from trainer.config.recipe import RecipeConfig
from trainer.inputs.augment import Augment
from trainer.inputs.held import HELD_SHARE, HeldImages, fits_device
from trainer.inputs.loading import (
    Batch,
    EpochSampler,
    PlainImages,
    TrainingImages,
    stack_tiles,
)

SIDE_PX, IMAGES, SIZE = 4, 13, 4
DATA_CONFIG: dict[str, Any] = {"input_size": (3, SIDE_PX, SIDE_PX)}
IMAGE_BYTES = 3 * SIDE_PX**2
CUDA = torch.device("cuda")


def _images(tiles: int = 1) -> TrainingImages:
    """Return images of random pixels; the last one may have several tiles."""
    generator = torch.Generator().manual_seed(0)
    counts = [1] * (IMAGES - 1) + [tiles]
    rows = [
        torch.randint(256, (count, IMAGE_BYTES), dtype=torch.uint8, generator=generator)
        for count in counts
    ]
    pixels = datasets.Dataset.from_dict({"pixels": [row.numpy().tobytes() for row in rows]})
    plain = PlainImages(pixels, [7 * index % 5 for index in range(IMAGES)], DATA_CONFIG)
    return TrainingImages(plain, seed=3, whole_from=2)


def _assert_equal(one: Batch, other: Batch) -> None:
    assert one.counts == other.counts
    assert torch.equal(one.targets, other.targets)
    for own, others in zip(one.inputs, other.inputs, strict=True):
        assert own.dtype == others.dtype
        assert torch.equal(own, others)


@pytest.mark.parametrize("first", [0, 8])
def test_batches_equal_those_of_a_data_loader(first: int) -> None:
    images, sampler = _images(), EpochSampler(IMAGES, SIZE, seed=3)
    loader = DataLoader(images, batch_size=SIZE, sampler=sampler, collate_fn=stack_tiles)
    held = HeldImages(images, sampler, SIZE, torch.device("cpu"))
    assert len(held) == len(loader) == 3, "an image that would be alone is left out"
    orders = []
    for epoch in (1, 2):
        sampler.epoch, sampler.first = epoch, first
        pairs = list(zip(held, loader, strict=True))
        assert len(pairs) == 3 - first // SIZE
        for one, other in pairs:
            _assert_equal(one, other)
        orders.append([one.targets.tolist() for one, _ in pairs])
    assert orders[0] != orders[1]


def test_no_random_number_of_the_process_is_used() -> None:
    held = HeldImages(_images(), EpochSampler(IMAGES, SIZE, seed=3), SIZE, torch.device("cpu"))
    before = torch.get_rng_state()
    list(held)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("corrupt", [0.0, 1.0])
def test_augmenting_reads_nothing_from_the_device(corrupt: float) -> None:
    """Each reading would make a GPU wait; of the device "meta", nothing can be read."""
    held = HeldImages(_images(), EpochSampler(IMAGES, SIZE, seed=3), SIZE, torch.device("meta"))
    colors = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}
    augment = Augment(RecipeConfig(corrupt=corrupt, brightness=0.2), DATA_CONFIG | colors)
    for batch in held:
        pixels, draws = batch.inputs
        assert (pixels.device.type, draws.device.type) == ("meta", "cpu")
        assert augment.to("meta")(batch.inputs).shape == pixels.shape


@pytest.mark.parametrize(("short_bytes", "fits"), [(0, True), (1, False)])
def test_a_share_of_the_free_memory_is_the_bound(
    short_bytes: int, fits: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    free_bytes = IMAGES * IMAGE_BYTES / HELD_SHARE - short_bytes / HELD_SHARE
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free_bytes, 0))
    with caplog.at_level(logging.INFO, "trainer"):
        assert fits_device(_images(), CUDA) is fits
    assert ("13 training images stay on the GPU" in caplog.text) is fits


def test_tiles_and_processors_use_the_data_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1e12, 0))
    assert fits_device(_images(), CUDA)
    assert not fits_device(_images(tiles=2), CUDA)
    assert not fits_device(_images(), torch.device("cpu"))
