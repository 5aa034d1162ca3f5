"""The words and the HTML of the page; everything that comes from outside is escaped here."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space.inference.decision import Prediction
    from space.model_report import Report, Score

TITLE = "Which surface defect is this?"
THUMBNAIL_PX = 240
FIGURE_PX = 1600
DRAWN_BANNER = (
    '<p class="banner" role="note"><b>For trying out only.</b> This model was trained on drawings. '
    "What it says of a photograph means nothing; of its own examples below, it does.</p>"
)
MEASURES = {
    "accuracy": ("Accuracy", "images that were named correctly"),
    "error_rate": ("Error rate", "images that were not"),
    "sensitivity": ("Sensitivity", "of a class's images, those that were found; mean of classes"),
    "specificity": ("Specificity", "of all other images, those left alone; mean of classes"),
    "precision": ("Precision", "of the images given a class's name, those of that class; mean"),
    "f1": ("F1", "harmonic mean of precision and sensitivity; mean of classes"),
    "auc": ("AUC", "area under the ROC curve, one class against the rest; mean"),
}


def rounded(value: float, decimals: int, whole: int) -> str:
    """Write a score as the model card does: never rounded up to `whole` or down to 0."""
    if value in (0, whole):
        return f"{value:.0f}"
    step = 10.0**-decimals
    return f"{min(max(value, step), whole - step):.{decimals}f}"


def score(fraction: float) -> str:
    """Write a proportion in per cent, without the sign."""
    return rounded(100 * fraction, 1, 100)


def area(fraction: float) -> str:
    """Write an area under a curve."""
    return rounded(fraction, 3, 1)


def header(model_id: str, address: str | None, labels: Sequence[str], report: Report | None) -> str:
    """Return title, what the model can tell apart, which model it is and how good.

    Args:
        model_id: as the operator gave it.
        address: of the model's page, if it has one.
        labels: the model's classes.
        report: its test result, if known.
    """
    name = escape(model_id)
    link = f'<a href="{escape(address)}" target="_blank">{name}</a>' if address else name
    facts = [f'<span class="fact">Model <b>{link}</b></span>']
    if report:
        accuracy = report.test.scores.accuracy
        facts.append(
            f'<span class="fact">Test accuracy <b>{score(accuracy.value)}&nbsp;%</b> '
            f"(95&nbsp;% interval {_range(accuracy)}, {report.test.images:,}&nbsp;images)</span>"
        )
    return (
        f'<header class="intro"><h1>{TITLE}</h1>'
        f"<p>Show a photograph of a surface; the model says which of its {len(labels)} classes "
        f"it looks most like.</p><p class='facts'>{''.join(facts)}</p>"
        f"{DRAWN_BANNER if report and report.drawn else ''}</header>"
    )


def example_caption(shows: str, labels: Sequence[str], prediction: Prediction) -> str:
    """Return what is written below an example: what it shows, and where the model falls short.

    Args:
        shows: its true class.
        labels: the model's classes; of another example, no mistake is known.
        prediction: what the model says of it.
    """
    if prediction.verdict == "unknown":
        return f"{shows} – unknown surface to the model"
    if prediction.verdict == "unsure":
        return f"{shows} – the model is unsure here"
    if shows in labels and prediction.label != shows:
        return f"{shows} – the model is wrong here"
    return shows


def thumbnail(image: Image.Image) -> str:
    """Return the address of a small square picture that is part of the page."""
    return _data_url(ImageOps.fit(image, (THUMBNAIL_PX, THUMBNAIL_PX)), quality=80)


def example_buttons(examples: Sequence[tuple[str, str]], origin: str) -> str:
    """Return a strip of buttons, each with a small picture and its name.

    Args:
        examples: caption and `thumbnail` of each.
        origin: where they come from.
    """
    buttons = "".join(
        f'<button type="button" data-index="{index}"><img src="{picture}" alt="">'
        f"<span>{escape(caption)}</span></button>"
        for index, (caption, picture) in enumerate(examples)
    )
    return (
        f'<h2 id="examples-title">Examples <small>{origin}</small></h2>'
        f'<div class="examples" role="group" aria-labelledby="examples-title">{buttons}</div>'
    )


def scores_table(report: Report | None) -> str:
    """Return the test scores with their intervals, or a sentence that there are none."""
    if report is None:
        return '<p class="advice">This model was published without test results.</p>'
    rows = []
    for key, (name, meaning) in MEASURES.items():
        measured: Score = getattr(report.test.scores, key)
        if key == "auc":
            numbers = area(measured.value), f"{area(measured.low)}–{area(measured.high)}"
        else:
            numbers = f"{score(measured.value)}&nbsp;%", _range(measured)
        rows.append(
            f'<tr><th scope="row">{name}<small>{meaning}</small></th>'
            f"<td>{numbers[0]}</td><td>{numbers[1]}</td></tr>"
        )
    return (
        f'<table class="scores"><caption>Measured on {report.test.images:,} test images that '
        "played no part in training.</caption><thead><tr>"
        '<th scope="col">Measure</th><th scope="col">Value</th><th scope="col">95&nbsp;% interval'
        f"</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def figure(title: str, alt: str, image: Image.Image) -> str:
    """Return a figure with its heading, as part of the page: no file of the model is served."""
    shown = image.copy()
    shown.thumbnail((FIGURE_PX, FIGURE_PX))
    return (
        f'<figure class="figure"><h2 class="figure-title">{escape(title)}</h2>'
        f'<img src="{_data_url(shown, lossless=True)}" alt="{escape(alt)}" loading="lazy" '
        f'width="{shown.width}" height="{shown.height}"></figure>'
    )


def _range(measured: Score) -> str:
    return f'<span class="range">{score(measured.low)}–{score(measured.high)}&nbsp;%</span>'


def _data_url(image: Image.Image, quality: int = 40, lossless: bool = False) -> str:
    """Return a picture as an address that holds it; `quality` of a lossless one is effort."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, lossless=lossless, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
