"""A folder of images that show none of the classes, as `--ood-dir` names it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from trainer.errors import DataError
from trainer.evaluation.ood_images import check_folder, images_of_folder


def test_images_of_all_folders_below_are_read(tmp_path: Path) -> None:
    for number, place in enumerate(("b/c", "a", ".")):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        Image.new("L", (number + 4, 4)).save(tmp_path / place / "1.png")
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert [image.width for image in images_of_folder(tmp_path, 16)] == [6, 5, 4]


def test_what_would_block_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        check_folder(tmp_path, 16)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png can't be used: a pipe \(FIFO\)"):
        check_folder(tmp_path, 16)
