"""The HTML of the page around the answer: header, examples, test results, figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from .rendering import data_url, macros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from space.inference.core.decision import Prediction
    from space.model_identity import Identity
    from space.model_report import Report

TITLE = "Which surface defect is this?"
THUMBNAIL_PX = 240
THUMBNAIL_QUALITY = 80
REFERENCE_PX = 480
FIGURE_PX = 1600
# Of the lossless encoder.
FIGURE_EFFORT = 40

_HTML = macros("page.html.jinja")


def header(model: Identity, labels: Sequence[str], report: Report | None) -> str:
    """Return the title, and what identifies the model: name, version, age, classes, accuracy.

    Args:
        model: its identity.
        labels: its classes.
        report: its test results, if known.
    """
    return str(_HTML.header(TITLE, model, len(labels), report))


def zoom_buttons() -> str:
    """Return the buttons below the photograph."""
    return str(_HTML.zoom())


def footer(engine: str) -> str:
    """Return the name of what runs the network."""
    return str(_HTML.footer(engine))


def example_caption(shows: str, labels: Sequence[str], prediction: Prediction) -> str:
    """Return the caption of an example: its class, and a word where the prediction is another.

    Args:
        shows: the true class.
        labels: the model's classes; an error is known only for an example of one of them.
        prediction: of the example.
    """
    if prediction.verdict == "unknown":
        return f"{shows} – unknown"
    if prediction.verdict == "unsure":
        return f"{shows} – unsure"
    named = prediction.defects or (prediction.label,)
    if shows in labels and shows not in named:
        return f"{shows} – wrong"
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


def reference_picture(image: Image.Image) -> str:
    """Return a picture of a class as a data URL."""
    return data_url(ImageOps.contain(image, (REFERENCE_PX, REFERENCE_PX)), THUMBNAIL_QUALITY)


def references(pictures: Mapping[str, str], origin: str) -> str:
    """Return the hidden pictures of classes, in the order by which an answer names them.

    Args:
        pictures: `reference_picture` of each class that has one.
        origin: source of the pictures.
    """
    return str(_HTML.references(pictures, origin))


def scores_table(report: Report) -> str:
    """Return all test scores with their intervals."""
    return str(_HTML.scores_table(report))


def figure(title: str, alt: str, image: Image.Image) -> str:
    """Return a figure with its heading, inlined: no file of the model is served."""
    shown = image.copy()
    shown.thumbnail((FIGURE_PX, FIGURE_PX))
    picture = data_url(shown, FIGURE_EFFORT, lossless=True)
    return str(_HTML.figure(title, alt, picture, *shown.size))
