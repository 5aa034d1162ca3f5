"""A folder of images that show none of the classes, as `--ood-dir` names it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.errors import DataError
from trainer.evaluation.ood_images import check_folder, drawn_images, images_of_folder


def test_images_of_all_folders_below_are_read(tmp_path: Path) -> None:
    for number, place in enumerate(("b/c", "a", ".")):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        Image.new("L", (number + 4, 4)).save(tmp_path / place / "1.png")
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert [image.width for image in images_of_folder(tmp_path, 16)] == [6, 5, 4]


@pytest.mark.slow
def test_drawn_kinds_fill_their_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.evaluation.ood_images.IMAGES_PER_KIND", 8)
    kinds = drawn_images(seed=3)
    assert [len(images) for images in kinds.values()] == [8] * 6
    for image in kinds["text"]:
        ink = np.asarray(image.convert("L")) < 130
        # A space or the gap between two lines may lie at the edge itself.
        assert ink[:, -60:].any()
        assert ink[-60:].any()
    again = drawn_images(seed=3)
    assert all(
        a.tobytes() == b.tobytes() for k in kinds for a, b in zip(kinds[k], again[k], strict=True)
    )
    assert drawn_images(seed=4)["noise"][0].tobytes() != kinds["noise"][0].tobytes()


def test_what_would_block_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        check_folder(tmp_path, 16)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png can't be used: a pipe \(FIFO\)"):
        check_folder(tmp_path, 16)
