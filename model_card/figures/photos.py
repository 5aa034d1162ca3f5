"""Draw images of classes, tests and training: pure functions from images to figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from model_card.figures.style import GREEN, GREY, INK, PHOTO_PIXELS_PER_INCH, RED, shortened, styled
from model_card.formatting import percent
from model_card.schema.run.test_result import Mistake


@dataclass(frozen=True)
class Sample:
    """A test image and its prediction."""

    image: Image.Image
    label: str
    prediction: str
    confidence: float

    @property
    def right(self) -> bool:
        """Whether the prediction is correct."""
        return self.prediction == self.label


@styled
def class_examples(examples: Sequence[tuple[str, Image.Image]]) -> Figure:
    """Draw an image of each class under the name of the class."""
    figure, grid = photo_grid(len(examples), title_inches=0.25, small=True)
    for axes, (label, image) in zip(grid, examples, strict=True):
        show_photo(axes, image, GREY, 1)
        axes.set_title(shortened(label, 18), fontsize=9)
    return figure


@styled
def sample_predictions(samples: Sequence[Sample]) -> Figure:
    """Draw test images with truth, prediction and confidence; mistakes are framed and crossed."""
    figure, grid = photo_grid(len(samples), title_inches=0.4)
    for axes, sample in zip(grid, samples, strict=True):
        colour = GREEN if sample.right else RED
        show_photo(axes, sample.image, colour, 2 if sample.right else 5)
        sign = "✓" if sample.right else "✗"
        axes.set_title(
            f"{sign} {shortened(sample.prediction, 14)} {percent(sample.confidence)}\n"
            f"True: {shortened(sample.label, 16)}",
            fontsize=8,
            fontweight="normal" if sample.right else "bold",
        )
    return figure


@styled
def mistakes(images: Sequence[tuple[Mistake, Image.Image]]) -> Figure:
    """Draw wrongly classified images with file name, truth, prediction and confidence."""
    figure, grid = photo_grid(len(images), title_inches=0.55)
    for axes, (mistake, image) in zip(grid, images, strict=True):
        show_photo(axes, image, RED, 3)
        name = PurePosixPath(mistake.file).stem
        axes.set_title(
            f"{shortened(name, 22)}\nTrue: {shortened(mistake.label, 16)}\n"
            f"✗ {shortened(mistake.prediction, 14)} {percent(mistake.confidence)}",
            fontsize=8,
        )
    return figure


@styled
def augmentations(original: Image.Image, augmented: Sequence[Image.Image]) -> Figure:
    """Draw an image beside random variants of it, as the network sees them in training."""
    figure, grid = photo_grid(len(augmented) + 1, title_inches=0.25)
    for i, (axes, image) in enumerate(zip(grid, [original, *augmented], strict=True)):
        show_photo(axes, image, GREY if i else INK, 1 if i else 3)
        axes.set_title(
            f"Variant {i}" if i else "Original", fontsize=9, fontweight="normal" if i else "bold"
        )
    return figure


def photo_grid(
    count: int, title_inches: float, *, small: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` places for photographs; of more than 12, each is small."""
    columns, tile_inches = (6, 1.5) if small or count > 12 else (4, 2.0)
    columns = min(columns, count)
    rows = -(-count // columns)
    size = (columns * tile_inches, rows * (tile_inches + title_inches))
    figure = Figure(figsize=size, dpi=PHOTO_PIXELS_PER_INCH, layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for axes in cells[count:]:
        axes.remove()
    return figure, cells[:count]


def show_photo(axes: Axes, image: Image.Image, frame_color: str, frame_width: float) -> None:
    """Draw one photograph with a frame."""
    axes.imshow(np.asarray(image.convert("RGB")))
    axes.grid(False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=frame_color, linewidth=frame_width)
