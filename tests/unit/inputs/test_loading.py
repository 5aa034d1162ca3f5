"""Order and augmentation: they follow from seed, epoch and image, and from nothing else."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image
from torch.utils.data import DataLoader

from trainer.errors import DataError
from trainer.inputs import loading
from trainer.inputs.draws import draw, mixed_seed
from trainer.inputs.loading import (
    EpochSampler,
    PlainImages,
    TrainingImages,
    decode,
    stack_tiles,
)

IMAGES = 9
DATA_CONFIG = {"input_size": (3, 8, 8), "interpolation": "bicubic"}


def noise() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(IMAGES)]


def decoded(folder: Path) -> PlainImages:
    part = Dataset.from_dict(
        {
            "image": [Image.fromarray(p) for p in noise()],
            "label": list(range(IMAGES)),
            "size_px": [[8, 8]] * IMAGES,
        }
    )
    part = part.cast_column("image", ImageFeature(decode=False))
    pixels = decode(part, DATA_CONFIG, folder / "part.arrow")
    return PlainImages(pixels, part["label"][:], DATA_CONFIG)


@pytest.fixture
def plain(tmp_path: Path) -> PlainImages:
    return decoded(tmp_path)


def epoch(
    plain: PlainImages, seed: int, number: int, workers: int = 0
) -> tuple[list[int], torch.Tensor, torch.Tensor]:
    """Return labels, pixels and drawn numbers of an epoch, in the order of loading."""
    sampler = EpochSampler(IMAGES, 5, seed)
    sampler.epoch = number
    images = TrainingImages(plain, seed)
    loader = DataLoader(
        images, batch_size=5, sampler=sampler, num_workers=workers, collate_fn=stack_tiles
    )
    batches = list(loader)
    return (
        torch.cat([batch.targets for batch in batches]).tolist(),
        torch.cat([batch.inputs[0] for batch in batches]),
        torch.cat([batch.inputs[1] for batch in batches]),
    )


@pytest.mark.parametrize("share", [1.0, 0.0], ids=["memory", "disk"])
def test_images_are_decoded_once_wherever_they_are_kept(
    share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MEMORY_SHARE", share)
    plain = decoded(tmp_path)
    assert (tmp_path / "part.arrow").exists() == (share == 0)
    opened: list[str] = []
    monkeypatch.setattr(loading, "open_image", opened.append)
    for index, expected in enumerate(noise()):
        pixels, label = plain[index]
        assert torch.equal(pixels[0], torch.from_numpy(expected).permute(2, 0, 1))
        assert label == index
    assert opened == []


def test_each_epoch_has_every_image_once_in_its_own_order(plain: PlainImages) -> None:
    orders = [epoch(plain, 0, number)[0] for number in range(3)]
    assert all(sorted(order) == list(range(IMAGES)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_a_last_batch_is_never_one_image() -> None:
    """Batch normalisation fails on it; each epoch leaves out another image."""
    sampler, left_out = EpochSampler(IMAGES, 4, seed=0), set()
    for number in range(8):
        sampler.epoch = number
        indices = [index for _, index in sampler]
        assert len(indices) == len(sampler) == len(set(indices)) == IMAGES - 1
        left_out |= set(range(IMAGES)) - set(indices)
    assert len(left_out) > 2
    assert [len(EpochSampler(n, b, 0)) for n, b in [(8, 4), (10, 4), (1, 4), (5, 1)]] == [
        8,
        10,
        1,
        5,
    ]


def test_an_epoch_can_be_repeated_whatever_was_drawn_before(plain: PlainImages) -> None:
    first = epoch(plain, 3, 5)
    torch.rand(100)
    again = epoch(plain, 3, 5)
    assert first[0] == again[0]
    assert torch.equal(first[1], again[1])
    assert torch.equal(first[2], again[2])


# So torch says where only one core is free; the order must hold there, too.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_worker_processes_change_nothing(plain: PlainImages) -> None:
    here, elsewhere = epoch(plain, 0, 1), epoch(plain, 0, 1, workers=2)
    assert here[0] == elsewhere[0]
    assert torch.equal(here[1], elsewhere[1])
    assert torch.equal(here[2], elsewhere[2])


def test_changes_differ_by_image_epoch_and_seed(plain: PlainImages) -> None:
    images, other = (TrainingImages(plain, seed) for seed in (0, 1))
    drawn = [images[(1, 0)], images[(1, 1)], images[(2, 0)], other[(1, 0)]]
    draws = [numbers for (_, numbers), _ in drawn]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(draws, 2))


def test_each_tile_has_its_own_changes() -> None:
    counts, tile = [2, 1, 3], np.arange(192, dtype=np.uint8).tobytes()
    pixels = Dataset.from_dict({"pixels": [tile * count for count in counts]})
    images = TrainingImages(PlainImages(pixels, [0, 1, 2], DATA_CONFIG), 5)
    for epoch_number, index in itertools.product((1, 2, 1), range(3)):
        (_, numbers), _ = images[(epoch_number, index)]
        others = [mixed_seed(5, epoch_number, index, each) for each in range(1, counts[index])]
        assert torch.equal(numbers, draw([mixed_seed(5, epoch_number, index), *others]))


def test_in_the_last_epochs_images_stay_whole(plain: PlainImages) -> None:
    settling, always = TrainingImages(plain, 0, whole_from=3), TrainingImages(plain, 0)
    for epoch_number in (2, 3, 4):
        (_, numbers), _ = settling[(epoch_number, 1)]
        (_, usual), _ = always[(epoch_number, 1)]
        assert torch.equal(numbers, usual) == (epoch_number < 3)
        assert torch.equal(numbers[:, 6:], usual[:, 6:])


def test_loading_leaves_the_random_state_alone(plain: PlainImages) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    TrainingImages(plain, 0)[(1, 2)]
    assert torch.equal(torch.rand(3), expected)


def test_threads_decode_the_same_pixels_and_report_the_first_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = 3
    monkeypatch.setattr(loading, "core_count", lambda: threads)
    together = threading.Barrier(threads, timeout=60)
    scaled = loading.scaled_tiles

    def scaled_together(*arguments: Any, **options: Any) -> torch.Tensor:
        # Passes only while as many threads decode at once.
        together.wait()
        return scaled(*arguments, **options)

    monkeypatch.setattr(loading, "scaled_tiles", scaled_together)
    found = decoded(tmp_path)
    for index, pixels in enumerate(noise()):
        assert np.array_equal(found[index][0][0].permute(1, 2, 0).numpy(), pixels)

    def fail(row: dict[str, Any], *_: Any, **__: Any) -> torch.Tensor:
        raise DataError(f"image {row['label']}")

    monkeypatch.setattr(loading, "scaled_tiles", fail)
    with pytest.raises(DataError, match="image 0"):
        decoded(tmp_path)


def test_a_resumed_epoch_skips_the_images_that_were_used() -> None:
    sampler = EpochSampler(IMAGES, 5, seed=0)
    sampler.epoch = 2
    whole = list(sampler)
    sampler.first = 7
    assert list(sampler) == whole[7:]
