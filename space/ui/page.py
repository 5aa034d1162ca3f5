"""The HTML of the page around the answer: header, examples, test results, figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from .rendering import data_url, macros

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space.inference.core.decision import Prediction
    from space.model_report import Report

TITLE = "Which surface defect is this?"
THUMBNAIL_PX = 240
THUMBNAIL_QUALITY = 80
FIGURE_PX = 1600
# Of the lossless encoder.
FIGURE_EFFORT = 40

_HTML = macros("page.html.jinja")


def header(model_id: str, address: str | None, labels: Sequence[str], report: Report | None) -> str:
    """Return the title, the number of classes, the model's name and its accuracy.

    Args:
        model_id: as the operator gave it.
        address: URL of the model's page, if it has one.
        labels: the model's classes.
        report: its test results, if known.
    """
    return str(_HTML.header(TITLE, model_id, address, len(labels), report))


def footer(engine: str) -> str:
    """Return the name of what runs the network."""
    return str(_HTML.footer(engine))


def example_caption(shows: str, labels: Sequence[str], prediction: Prediction) -> str:
    """Return the caption of an example: its class, and a note where the prediction is not correct.

    Args:
        shows: the true class.
        labels: the model's classes; an error is known only for an example of one of them.
        prediction: of the example.
    """
    if prediction.verdict == "unknown":
        return f"{shows} – reported as unknown surface"
    if prediction.verdict == "unsure":
        return f"{shows} – the model is unsure here"
    if shows in labels and prediction.label != shows:
        return f"{shows} – predicted incorrectly"
    return shows


def thumbnail(image: Image.Image) -> str:
    """Return a small square picture as a data URL."""
    return data_url(ImageOps.fit(image, (THUMBNAIL_PX, THUMBNAIL_PX)), THUMBNAIL_QUALITY)


def example_buttons(examples: Sequence[tuple[str, str]], origin: str) -> str:
    """Return a row of buttons, each with a thumbnail and a caption.

    Args:
        examples: caption and `thumbnail` of each.
        origin: source of the examples.
    """
    return str(_HTML.example_buttons(examples, origin))


def scores_table(report: Report | None) -> str:
    """Return the test scores with their intervals, or a note that there are none."""
    return str(_HTML.scores_table(report))


def figure(title: str, alt: str, image: Image.Image) -> str:
    """Return a figure with its heading, inlined: no file of the model is served."""
    shown = image.copy()
    shown.thumbnail((FIGURE_PX, FIGURE_PX))
    picture = data_url(shown, FIGURE_EFFORT, lossless=True)
    return str(_HTML.figure(title, alt, picture, *shown.size))
