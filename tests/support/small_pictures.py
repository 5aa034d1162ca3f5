"""Trainings without the pictures, which take most of the time of a small one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

OOD_IMAGES_PER_KIND = 6


@contextmanager
def small_pictures() -> Iterator[None]:
    """Write one pixel for each figure, and draw few OOD images, until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model_card.figures.results.save_figure", _save_pixel)
        patch.setattr("trainer.evaluation.ood_images.IMAGES_PER_KIND", OOD_IMAGES_PER_KIND)
        yield


def _save_pixel(_: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (1, 1)).save(path)
