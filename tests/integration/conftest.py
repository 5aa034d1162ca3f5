"""Trainings of these tests spend their time on training, not on pictures that no test looks at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

OOD_IMAGES_PER_KIND = 6


@pytest.fixture(scope="module", autouse=True)
def _small_pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Write one pixel for each figure, and draw few OOD images.

    The tests of model_card/figures and of whole runs (marked `figures`) draw all of them.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("figures") is None:
            patch.setattr("model_card.figures.results.save_figure", _save_pixel)
            patch.setattr("trainer.evaluation.ood_images.IMAGES_PER_KIND", OOD_IMAGES_PER_KIND)
        yield


def _save_pixel(_: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (1, 1)).save(path)
