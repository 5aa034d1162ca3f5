"""Trainings without the pictures, which take most of the time of a small one."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from trainer.evaluation import ood_images

OOD_IMAGES_PER_KIND = 6
DRAWINGS = {
    "charts": ("learning_curves", "confusion_matrix", "top_confusions", "roc_curves"),
    "explanations": ("heatmaps", "robustness"),
    "photos": ("class_examples", "sample_predictions", "mistakes", "augmentations"),
    "reliability_charts": ("reliability_diagram", "risk_coverage", "novelty"),
}

ood_images_drawn_once = functools.cache(ood_images.drawn_images)


@contextmanager
def few_ood_images() -> Iterator[None]:
    """Draw few OOD images, and each of them once, until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ood_images, "IMAGES_PER_KIND", OOD_IMAGES_PER_KIND)
        patch.setattr(ood_images, "drawn_images", ood_images_drawn_once)
        yield


@contextmanager
def small_pictures() -> Iterator[None]:
    """Write one pixel for each figure, and draw few OOD images, until the block ends."""
    with few_ood_images(), pytest.MonkeyPatch.context() as patch:
        for module, names in DRAWINGS.items():
            for name in names:
                patch.setattr(f"model_card.figures.{module}.{name}", _empty)
        patch.setattr("model_card.figures.results.save_figure", _save_pixel)
        yield


def _empty(*_: object) -> Figure:
    return Figure()


def _save_pixel(_: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (1, 1)).save(path)
