"""The words and the HTML of an answer; everything that comes from outside is escaped here."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space.decision import Prediction, Rules

MAX_ROWS = 10
# What to do, for each verdict; the colours are in style.css.
ADVICE = {
    "class": "The answer can be taken",
    "unsure": "A person should look",
    "unknown": "Not a surface that this model knows",
}


def share(probability: float) -> str:
    """Write a probability as a percentage that claims neither 0 nor 100 unless that is exact."""
    if 0 < probability < 0.005:
        return "&lt;&nbsp;1&nbsp;%"
    if 0.995 <= probability < 1:
        return "&gt;&nbsp;99&nbsp;%"
    return f"{100 * probability:.0f}&nbsp;%"


def waiting(labels: Sequence[str], rules: Rules | None) -> str:
    """Return the answer panel before there is an image.

    Args:
        labels: of the model's classes.
        rules: of the model's decision, if it has one.
    """
    rows = [(label, None) for label in labels[:MAX_ROWS]]
    return _panel(
        '<p class="verdict quiet">No image yet</p>'
        '<p class="advice">Drop, paste or photograph one to see what the model says.</p>',
        _probabilities(rows),
        _note(len(labels), rules),
    )


def judged(prediction: Prediction, rules: Rules | None) -> str:
    """Return the answer panel for a prediction: verdict, candidates, then all probabilities.

    Args:
        prediction: what the model says.
        rules: by which it was judged; None if the model was published without.
    """
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    rows = _probabilities(ranked[:MAX_ROWS])
    if len(ranked) > MAX_ROWS:
        rest = share(sum(probability for _, probability in ranked[MAX_ROWS:]))
        count = len(ranked) - MAX_ROWS
        rows += f'<p class="advice">{count} more class{"es" * (count > 1)}: {rest}</p>'
    words = _verdict(prediction)
    if rules is not None:
        badge = f'<p class="badge {prediction.verdict}">{ADVICE[prediction.verdict]}</p>'
        words = badge + words + _candidates(prediction, rules)
    return _panel(words, rows, _note(len(ranked), rules))


def problem(file: str | None, message: str) -> str:
    """Return the answer panel for a file that can't be judged."""
    name = f'<p class="file">{escape(file)}</p>' if file else ""
    return (
        '<div class="answer problem"><p class="verdict">This file can’t be judged</p>'
        f'{name}<p class="advice">{escape(message)}</p></div>'
    )


def _verdict(prediction: Prediction) -> str:
    """Return the verdict as a headline."""
    if prediction.verdict == "unknown":
        return '<p class="verdict">Unknown surface</p>'
    if prediction.verdict == "unsure":
        *others, last = map(escape, prediction.between)
        return f'<p class="verdict">Unsure between {", ".join(others)} and {last}</p>'
    sure = share(prediction.confidence).replace("&gt;", "more than")
    return f'<p class="verdict">{escape(prediction.label)} <span>— {sure} sure</span></p>'


def _candidates(prediction: Prediction, rules: Rules) -> str:
    """Return the prediction set in words or, of an unknown surface, why there is none."""
    if prediction.verdict == "unknown":
        return (
            '<p class="advice">The image looks unlike everything that the model was trained on, so '
            "the probabilities below mean little.</p>"
        )
    names = ", ".join(map(escape, prediction.candidates))
    return (
        f'<p class="advice">Prediction set at {share(rules.coverage)} coverage: <b>{names}</b></p>'
    )


def _note(classes: int, rules: Rules | None) -> str:
    """Return what to know about every answer of the model."""
    if rules is None:
        return (
            f"The model always picks one of its {classes} classes, whatever the image shows, and "
            "its confidence is not calibrated."
        )
    if rules.strangeness_limit is None:
        return (
            f"The model always picks one of its {classes} classes, whatever the image shows. Its "
            "confidence is calibrated: of answers that are 90&nbsp;% sure, about nine in ten are "
            "right."
        )
    return (
        f"The model knows {classes} classes, and tells what looks like none of them. Its "
        "confidence is calibrated: of answers that are 90&nbsp;% sure, about nine in ten are right."
    )


def _panel(words: str, rows: str, note: str) -> str:
    return f'<div class="answer">{words}{rows}<p class="note">{note}</p></div>'


def _probabilities(rows: Sequence[tuple[str, float | None]]) -> str:
    """Return a list of classes with a bar and a percentage each; empty bars for None."""
    items = "".join(
        f'<li><span class="label">{escape(label)}</span>'
        f'<span class="bar" aria-hidden="true"><i style="width:{100 * (probability or 0):.1f}%">'
        f'</i></span><span class="share">{"" if probability is None else share(probability)}</span>'
        "</li>"
        for label, probability in rows
    )
    return f'<ul class="probabilities" aria-label="Class probabilities">{items}</ul>'
