"""Text and HTML of the page; all untrusted text is escaped here."""

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
    '<p class="banner" role="note"><b>Demo only.</b> This model was trained on drawings. Its '
    "predictions are valid for the drawn examples below, not for photographs.</p>"
)
MEASURES = {
    "accuracy": ("Accuracy", "share of images classified correctly"),
    "error_rate": ("Error rate", "share of images classified incorrectly"),
    "sensitivity": ("Sensitivity", "share of a class's images that were found; mean over classes"),
    "specificity": ("Specificity", "share of other images not assigned to it; mean over classes"),
    "precision": ("Precision", "share of correct images among those assigned to a class; mean"),
    "f1": ("F1", "harmonic mean of precision and sensitivity; mean over classes"),
    "auc": ("AUC", "area under the ROC curve, one class against the rest; mean"),
}


def rounded(value: float, decimals: int, whole: int) -> str:
    """Format a score as the model card does: never rounded up to `whole` or down to 0."""
    if value in (0, whole):
        return f"{value:.0f}"
    step = 10.0**-decimals
    return f"{min(max(value, step), whole - step):.{decimals}f}"


def score(fraction: float) -> str:
    """Format a fraction as a percentage, without the sign."""
    return rounded(100 * fraction, 1, 100)


def area(fraction: float) -> str:
    """Format an area under a curve."""
    return rounded(fraction, 3, 1)


def header(model_id: str, address: str | None, labels: Sequence[str], report: Report | None) -> str:
    """Return the title, the number of classes, the model's name and its accuracy.

    Args:
        model_id: as the operator gave it.
        address: URL of the model's page, if it has one.
        labels: the model's classes.
        report: its test results, if known.
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
        f"<p>Upload a photograph of a surface. The model assigns it to one of {len(labels)} "
        f"classes.</p><p class='facts'>{''.join(facts)}</p>"
        f"{DRAWN_BANNER if report and report.drawn else ''}</header>"
    )


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
    return _data_url(ImageOps.fit(image, (THUMBNAIL_PX, THUMBNAIL_PX)), quality=80)


def example_buttons(examples: Sequence[tuple[str, str]], origin: str) -> str:
    """Return a row of buttons, each with a thumbnail and a caption.

    Args:
        examples: caption and `thumbnail` of each.
        origin: source of the examples.
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
    """Return the test scores with their intervals, or a note that there are none."""
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
        "were not used for training.</caption><thead><tr>"
        '<th scope="col">Metric</th><th scope="col">Value</th><th scope="col">95&nbsp;% interval'
        f"</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def figure(title: str, alt: str, image: Image.Image) -> str:
    """Return a figure with its heading, inlined: no file of the model is served."""
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
    """Return a picture as a data URL; for a lossless one, `quality` is the encoder's effort."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, lossless=lossless, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
