"""Trainings without the pictures, which take most of the time of a small one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

OOD_IMAGES_PER_KIND = 6
DRAWINGS = {
    "charts": ("learning_curves", "confusion_matrix", "top_confusions", "roc_curves"),
    "explanations": ("heatmaps", "robustness"),
    "photos": ("class_examples", "sample_predictions", "mistakes", "augmentations"),
    "reliability_charts": ("reliability_diagram", "risk_coverage", "novelty"),
}


@contextmanager
def small_pictures() -> Iterator[None]:
    """Draw no figure but write one pixel for each, and few OOD images, until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        for module, names in DRAWINGS.items():
            for name in names:
                patch.setattr(f"model_card.figures.{module}.{name}", _empty)
        patch.setattr("model_card.figures.results.save_figure", _save_pixel)
        patch.setattr("trainer.evaluation.ood_images.IMAGES_PER_KIND", OOD_IMAGES_PER_KIND)
        yield


def _empty(*_: object) -> Figure:
    return Figure()


def _save_pixel(_: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (1, 1)).save(path)
