"""The images that int8 is fitted to: of training, a third of them corrupted, none compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from trainer.errors import DataError
from trainer.exporting import calibration

# Gray levels by split: a flat image shows which one it comes from.
SPLITS = {"train": range(1, 13), "validation": range(101, 109), "test": range(201, 213)}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return images of a run, as flat as their levels; a corrupted one is 255."""
    monkeypatch.setattr(calibration, "open_image", lambda row: flat(row["level"]))
    whiten(monkeypatch)
    splits = {name: Dataset.from_dict({"level": list(each)}) for name, each in SPLITS.items()}
    return SimpleNamespace(splits=splits)


def whiten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "corrupt_randomly", lambda levels, seed: 0 * levels + 1)


def flat(level: int) -> Image.Image:
    return Image.new("RGB", (20, 16), (level, level, level))


def levels(images: Any) -> list[int]:
    return [int(np.asarray(image)[0, 0, 0]) for image in images]


def test_training_images_set_the_ranges_and_validation_images_are_compared(run: Any) -> None:
    found = calibration.of_run(run, seed=0)
    assert set(levels(found.images)) - {255} < set(SPLITS["train"])
    assert sorted(levels(found.compared)) == list(SPLITS["validation"])
    assert levels(found.images).count(255) * calibration.CORRUPTED_EVERY == len(found.images)
    assert len(found.images) == len(SPLITS["train"])


def test_no_more_images_are_used_than_needed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "CALIBRATION_IMAGES", 6)
    monkeypatch.setattr(calibration, "COMPARED_IMAGES", 4)
    found = calibration.of_run(run, seed=0)
    assert (len(found.images), len(found.compared)) == (6, 4)
    others = calibration.of_run(run, seed=1)
    assert levels(found.compared) != levels(others.compared)


def test_images_of_folders_are_either_fitted_to_or_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whiten(monkeypatch)
    monkeypatch.setattr(calibration, "CORRUPTED_EVERY", 100)
    for folder, first in (("a", 10), ("b", 20)):
        (tmp_path / folder).mkdir()
        for level in range(first, first + 4):
            flat(level).save(tmp_path / folder / f"{level}.png")
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    found = calibration.of_folders(folders, 8, seed=0)
    assert (len(found.images), len(found.compared)) == (4, 4)
    fitted, compared = set(levels(found.images)) - {255}, set(levels(found.compared))
    assert len(fitted) == 3
    assert not fitted & compared
    assert fitted | compared < {*range(10, 14), *range(20, 24)}


def test_the_bit_depth_of_the_model_scales_the_images_of_folders(tmp_path: Path) -> None:
    for number in range(2):
        Image.fromarray(np.full((16, 20), 1024, np.uint16)).save(tmp_path / f"{number}.png")
    [compared] = calibration.of_folders([str(tmp_path)], 12, seed=0).compared
    assert levels([compared]) == [64]


def test_folders_without_usable_images_are_named(tmp_path: Path) -> None:
    flat(3).save(tmp_path / "only.png")
    with pytest.raises(DataError, match="holds too few images"):
        calibration.of_folders([str(tmp_path)], 8, seed=0)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png can't be used: .*\nFix or remove it"):
        calibration.of_folders([str(tmp_path)], 8, seed=0)
