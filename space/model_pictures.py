"""Pictures of the page that come with the model: examples, one of each class, figures."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

# In a Space on the Hub this folder is the root, and its modules are siblings.
if TYPE_CHECKING or __package__:
    from space import model_report
    from space.inference.predictor import ImageError, ModelError, Predictor
    from space.ui import page, prediction_panel, results
else:
    import model_report
    from inference.predictor import ImageError, ModelError, Predictor
    from ui import page, prediction_panel, results

logger = logging.getLogger("space")

EXAMPLE_PX = 2048
# Decodes a file, or raises an ImageError.
Read = Callable[[Path], Image.Image]


@dataclass(frozen=True)
class Example:
    """An image to try the model with.

    Attributes:
        caption: its class, and a note where the prediction is not correct.
        thumbnail: the small picture as a data URL.
        picture: PNG.
        panel: HTML of the answer.
    """

    caption: str
    thumbnail: str
    picture: bytes
    panel: str


def decodable(paths: list[Path], read: Read) -> dict[Path, Image.Image]:
    """Return the example images that can be decoded, at a size to show."""
    pictures = {}
    for path in paths:
        try:
            image = read(path)
        except ImageError as error:
            logger.warning("The example %s is not shown: %s", path, error)
            continue
        image.thumbnail((EXAMPLE_PX, EXAMPLE_PX))
        pictures[path] = image
    return pictures


def examples_of(
    pictures: dict[Path, Image.Image],
    predictor: Predictor,
    background: prediction_panel.Background,
) -> list[Example]:
    """Return each example image with its prediction."""
    examples = []
    for path, image in pictures.items():
        try:
            [prediction] = predictor.predict([image])
        except ModelError as error:
            logger.warning("The example %s is not shown: %s", path, error)
            continue
        picture = io.BytesIO()
        image.save(picture, "PNG")
        examples.append(
            Example(
                page.example_caption(path.stem, predictor.labels, prediction),
                page.thumbnail(image),
                picture.getvalue(),
                prediction_panel.prediction(prediction, background, own_example=True),
            )
        )
    return examples


def references_of(pictures: dict[Path, Image.Image], labels: list[str]) -> dict[str, str]:
    """Return a picture of each class that has an example, in the order of the classes."""
    found = {model_report.class_of(path, labels): image for path, image in pictures.items()}
    return {label: page.reference_picture(found[label]) for label in labels if label in found}


def figures_of(folder: Path, report: model_report.Report | None, read: Read) -> list[str]:
    """Return the model's further figures as HTML, without files that can't be decoded."""
    figures, drawn = [], results.drawn_here(report)
    for figure in model_report.find_figures(folder, report):
        if f"figures/{figure.path.name}" in drawn:
            continue
        try:
            figures.append(page.figure(figure.title, figure.alt, read(figure.path)))
        except ImageError as error:
            logger.warning("The figure %s is not shown: %s", figure.path, error)
    return figures
