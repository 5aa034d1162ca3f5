"""Text and HTML of a prediction; all untrusted text is escaped here.

Headline, badge, bars and prediction set agree: a confidence and its threshold are rounded so that
their order is the one that the decision used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space.inference.decision import Prediction, Rules
    from space.model_report import Calibration

MAX_ROWS = 10
MAX_NAMES = 4
MOST_DECIMALS = 6
# What to do for each verdict; the colors are in style.css.
ADVICE = {
    "class": "Answer accepted",
    "unsure": "Needs human review",
    "unknown": "Unknown surface",
    "drawn": "Trained on drawings: do not rely on it",
}


@dataclass(frozen=True)
class Background:
    """Facts about a model that the panel states with every prediction.

    Attributes:
        rules: its decision rules; None if it was published without.
        calibration: of its confidence on the test images, if known.
        drawn: whether it was trained on drawings.
    """

    rules: Rules | None = None
    calibration: Calibration | None = None
    drawn: bool = False


def share(probability: float) -> str:
    """Format a probability as a percentage: 0 and 100 only where they are exact."""
    if 0 < probability < 0.005:
        return "&lt;&nbsp;1&nbsp;%"
    if 0.995 <= probability < 1:
        return "&gt;&nbsp;99&nbsp;%"
    return f"{100 * probability:.0f}&nbsp;%"


def beside(confidence: float, required: float) -> tuple[str, str]:
    """Format a confidence and the one that an automatic answer needs, in their true order.

    The first reads as less than the second exactly where it is less.
    """
    certain, limit = 100 * Decimal(str(confidence)), 100 * Decimal(str(required))
    below = certain < limit
    shown_limit = _rounded(limit, 1, ROUND_CEILING)
    vague = Decimal("99.5") <= certain < 100 and shown_limit > 99
    if (Decimal(round(certain)) < shown_limit) == below and not vague:
        return share(confidence), _percent(shown_limit)
    for decimals in range(MOST_DECIMALS + 1):
        shown = _rounded(certain, decimals, ROUND_FLOOR)
        shown_limit = _rounded(limit, max(1, decimals), ROUND_CEILING)
        if (shown < shown_limit) == below:
            break
    else:
        shown_limit = shown
    return _percent(shown), _percent(shown_limit)


def _rounded(number: Decimal, decimals: int, how: str) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-decimals), how)


def _percent(number: Decimal) -> str:
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "&nbsp;%"


def waiting(labels: Sequence[str], background: Background) -> str:
    """Return the answer panel before there is an image."""
    names = "".join(f"<li>{escape(label)}</li>" for label in labels[:MAX_ROWS])
    rest = len(labels) - MAX_ROWS
    more = f"<li>{rest} more</li>" if rest > 0 else ""
    return _panel(
        '<p class="verdict quiet">No image yet</p>'
        '<p class="advice">Drop, paste or photograph one to see which of these classes it shows:'
        f'</p><ul class="classes">{names}{more}</ul>',
        "",
        _note(len(labels), background),
    )


def prediction(prediction: Prediction, background: Background, own_example: bool = False) -> str:
    """Return the panel of a prediction: verdict, reason, then all probabilities.

    Args:
        prediction: of the image.
        background: facts about the model.
        own_example: whether the image is one of the model's own examples, for which even a model
            trained on drawings is valid.
    """
    out_of_place = background.drawn and not own_example
    classes = len(prediction.probabilities)
    if prediction.verdict == "unknown":
        return _panel(_badge("unknown") + _unknown(prediction), "", _scope(classes, background))
    if out_of_place:
        words = _badge("drawn") + f'<p class="verdict">Most like {escape(prediction.label)}</p>'
        return _panel(words, _rows(replace(prediction, required=None)), _note(classes, background))
    words = _headline(prediction)
    if background.rules is not None:
        words = _badge(prediction.verdict) + words + _reason(prediction, background.rules)
    return _panel(words, _rows(prediction), _note(classes, background))


def problem(file: str | None, message: str) -> str:
    """Return the panel for a file that can't be used."""
    name = f'<p class="file">{escape(file)}</p>' if file else ""
    return (
        '<div class="answer problem"><p class="verdict">This file can’t be used</p>'
        f'{name}<p class="advice">{escape(message)}</p></div>'
    )


def _badge(kind: str) -> str:
    return f'<p class="badge {kind}">{ADVICE[kind]}</p>'


def _confidence(prediction: Prediction) -> tuple[str, str | None]:
    """Return the confidence as text, and the required one, if there is a threshold."""
    if prediction.required:
        return beside(prediction.confidence, prediction.required)
    return share(prediction.confidence), None


def _headline(prediction: Prediction) -> str:
    """Return the verdict as a headline."""
    if prediction.verdict == "unsure" and len(prediction.candidates) > 1:
        return f'<p class="verdict">Between {_enumerated(prediction.candidates)}</p>'
    sure = _confidence(prediction)[0].replace("&gt;", "more than")
    probably = "Probably " if prediction.verdict == "unsure" else ""
    name = escape(prediction.label)
    return f'<p class="verdict">{probably}{name} <span>— {sure} sure</span></p>'


def _reason(prediction: Prediction, rules: Rules) -> str:
    """Return the reason for the verdict, in a line or two."""
    sure, limit = _confidence(prediction)
    others = prediction.candidates[1:]
    coverage = share(rules.coverage)
    if prediction.verdict == "unsure":
        name = f"{escape(prediction.label)} is the most likely at {sure}," if others else "That is"
        why = f"{name} below the {limit} that an automatic answer needs."
        names = ", ".join(map(escape, prediction.candidates))
        return (
            f'<p class="advice">{why}</p>'
            f'<p class="advice">Prediction set at {coverage} coverage: <b>{names}</b></p>'
        )
    if others:
        return (
            f'<p class="advice">At {coverage} coverage it may also be <b>{_enumerated(others)}</b>;'
            " given the costs of mistakes, the answer is still accepted.</p>"
        )
    name = escape(prediction.label)
    return f'<p class="advice">Prediction set at {coverage} coverage: <b>{name}</b></p>'


def _unknown(prediction: Prediction) -> str:
    """Return why an image is unknown, by how much, and the probabilities, folded."""
    novelty = prediction.novelty or 0.0
    times = "more than 100" if novelty > 100 else f"{max(novelty, 1.01):.2f}"
    # The limit is in the middle of the scale.
    width = 100 * novelty / (novelty + 1)
    return (
        '<p class="advice">The image differs from all training images, so no class is '
        "reported.</p>"
        f'<p class="novelty"><span>Novelty</span><span class="bar" aria-hidden="true">'
        f'<i style="width:{width:.1f}%"></i><b class="limit" style="left:50%"></b></span>'
        f"<span>{times}&nbsp;× the limit</span></p>"
        "<details><summary>Class probabilities (not reliable here)</summary>"
        f"{_rows(prediction)}</details>"
    )


def _enumerated(names: Sequence[str]) -> str:
    """Return names as “a, b and c”; of a long list, the first few and the number of others."""
    shown = [escape(name) for name in names]
    if len(shown) > MAX_NAMES:
        shown = [*shown[: MAX_NAMES - 1], f"{len(names) - MAX_NAMES + 1} more"]
    *others, last = shown
    return f"{', '.join(others)} and {last}" if others else last


def _scope(classes: int, background: Background) -> str:
    """Return what the model can classify and reject."""
    rules = background.rules
    if rules is None or rules.novelty_limit is None:
        return f"The model always assigns one of its {classes} classes, even to an unknown surface."
    return f"The model knows {classes} classes and rejects images that resemble none of them."


def _note(classes: int, background: Background) -> str:
    """Return the notes that hold for every prediction of the model."""
    measured = background.calibration
    if background.drawn:
        words = "Its confidence was measured on drawings and does not apply to photographs."
    elif background.rules is None:
        words = "Its confidence is not calibrated."
    elif measured is None:
        words = "The calibration of its confidence was not published."
    elif measured.holds:
        words = (
            "Its confidence is calibrated: of answers that are 90&nbsp;% sure, about nine in ten "
            "are correct."
        )
    else:
        off = f"{max(100 * measured.after.ece, 0.1):.1f}"
        words = (
            f"On the test images its confidence was off by {off}&nbsp;percentage points on average "
            "(expected calibration error)."
        )
    return f"{_scope(classes, background)} {words}"


def _panel(words: str, rows: str, note: str) -> str:
    return f'<div class="answer">{words}{rows}<p class="note">{note}</p></div>'


def _rows(prediction: Prediction) -> str:
    """Return a list of classes with a bar and a percentage each, the most likely first."""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    sure, limit = share(prediction.confidence), None
    if prediction.verdict != "unknown":
        sure, limit = _confidence(prediction)
    items = []
    for rank, (label, probability) in enumerate(ranked[:MAX_ROWS]):
        mark = ""
        if rank == 0 and limit and prediction.required:
            mark = f'<b class="limit" style="left:{100 * prediction.required:.2f}%"></b>'
        items.append(
            f'<li><span class="label">{escape(label)}</span><span class="bar" aria-hidden="true">'
            f'<i style="width:{100 * probability:.2f}%"></i>{mark}</span>'
            f'<span class="share">{share(probability) if rank else sure}</span></li>'
        )
    rows = f'<ul class="probabilities" aria-label="Class probabilities">{"".join(items)}</ul>'
    if len(ranked) > MAX_ROWS:
        rest = share(sum(probability for _, probability in ranked[MAX_ROWS:]))
        count = len(ranked) - MAX_ROWS
        rows += f'<p class="advice">{count} more class{"es" * (count > 1)}: {rest}</p>'
    if limit:
        rows += f'<p class="legend"><b class="limit"></b> An automatic answer needs {limit}</p>'
    return rows
