"""The HTML of a prediction: its verdict, reason and probabilities.

Headline, badge, bars and prediction set agree: a confidence and its threshold are rounded so that
their order is the one that the decision used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, NamedTuple

from .rendering import NO_BREAK_SPACE, macros, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space.inference.core.decision import Prediction, Rules
    from space.report_schema import Calibration

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

_HTML = macros("prediction_panel.html.jinja")


@dataclass(frozen=True)
class Background:
    """Facts about a model that the panel states with every prediction.

    Attributes:
        rules: its decision rules; None if it was published without.
        calibration: of its confidence on the test images, if known.
        drawn: whether it was trained on drawings.
        references: the classes of which the page has a reference picture.
    """

    rules: Rules | None = None
    calibration: Calibration | None = None
    drawn: bool = False
    references: tuple[str, ...] = ()


class Badge(NamedTuple):
    """What to do with an answer; the kind sets the color."""

    kind: str
    advice: str


class Headline(NamedTuple):
    """The verdict in words, and the confidence in it, if it is said."""

    words: str
    sure: str | None = None


class Reason(NamedTuple):
    """A line on the reason: words, the names of classes in bold, and how it goes on."""

    words: str
    classes: str | None = None
    then: str = ""


class Bars(NamedTuple):
    """The probabilities of the classes, the most likely first.

    Attributes:
        shown: label and probability of the classes that get a bar.
        first: the probability of the first one in words.
        others: number of the classes without a bar.
        rest: sum of their probabilities.
        required: the confidence that an automatic answer needs.
        limit: the same in words; None if there is no threshold.
        named_from: the probability from which on each class is named; None if one class is named.
    """

    shown: list[tuple[str, float]]
    first: str
    others: int
    rest: float
    required: float | None
    limit: str | None
    named_from: dict[str, float] | None = None


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
    return (text.rstrip("0").rstrip(".") if "." in text else text) + f"{NO_BREAK_SPACE}%"


def waiting(labels: Sequence[str], background: Background) -> str:
    """Return the answer panel before there is an image."""
    scope, more = _scope(len(labels), background), len(labels) - MAX_ROWS
    return str(_HTML.waiting(labels[:MAX_ROWS], more, scope, background.references))


def prediction(prediction: Prediction, background: Background, own_example: bool = False) -> str:
    """Return the panel of a prediction: verdict, reason, then all probabilities.

    Args:
        prediction: of the image.
        background: facts about the model.
        own_example: whether the image is one of the model's own examples, for which even a model
            trained on drawings is valid.
    """
    classes = len(prediction.probabilities)
    if prediction.verdict == "unknown":
        return _unknown(prediction, _scope(classes, background), background.references)
    note, shown = _note(classes, background), background.references
    if prediction.defects is not None and (own_example or not background.drawn):
        return _several(prediction, background, note)
    if background.drawn and not own_example:
        headline = Headline(f"Most like {prediction.label}")
        bars = _bars(replace(prediction, required=None))
        return str(_HTML.prediction(_badge("drawn"), headline, [], bars, note, shown))
    rules = background.rules
    badge = _badge(prediction.verdict) if rules else None
    reasons = _reasons(prediction, rules) if rules else []
    headline, bars = _headline(prediction), _bars(prediction)
    return str(_HTML.prediction(badge, headline, reasons, bars, note, shown))


def problem(file: str | None, message: str) -> str:
    """Return the panel for a file that can't be used."""
    return str(_HTML.problem(file, message))


def busy() -> str:
    """Return the panel for an image that the server did not take."""
    return str(_HTML.busy())


def _badge(kind: str) -> Badge:
    return Badge(kind, ADVICE[kind])


def _confidence(prediction: Prediction) -> tuple[str, str | None]:
    """Return the confidence as text, and the required one, if there is a threshold."""
    if prediction.required:
        return beside(prediction.confidence, prediction.required)
    return share(prediction.confidence), None


def _headline(prediction: Prediction) -> Headline:
    """Return the verdict as a headline."""
    if prediction.verdict == "unsure" and len(prediction.candidates) > 1:
        return Headline(f"Between {_enumerated(prediction.candidates)}")
    sure = _confidence(prediction)[0].replace(">", "over")
    probably = "Probably " if prediction.verdict == "unsure" else ""
    return Headline(f"{probably}{prediction.label}", sure)


def _reasons(prediction: Prediction, rules: Rules) -> list[Reason]:
    """Return the reason for the verdict, in a line or two."""
    sure, limit = _confidence(prediction)
    others = prediction.candidates[1:]
    coverage = share(rules.coverage)
    if prediction.verdict == "unsure":
        name = f"{prediction.label} is the most likely at {sure}," if others else "That is"
        return [
            Reason(f"{name} below the {limit} that an automatic answer needs."),
            Reason(f"Prediction set at {coverage} coverage:", ", ".join(prediction.candidates)),
        ]
    if others and rules.least_probability == 0:
        # Fitted to very few validation images, the set can't leave out any class.
        words = f"Prediction set at {coverage} coverage: all classes, because training had too few"
        return [Reason(f"{words} validation images to leave one out.")]
    if others:
        return [
            Reason(
                f"At {coverage} coverage it may also be",
                _enumerated(others),
                "; given the costs of mistakes, the answer is still accepted.",
            )
        ]
    return [Reason(f"Prediction set at {coverage} coverage:", prediction.label)]


def _several(prediction: Prediction, background: Background, note: str) -> str:
    """Return the panel of an image of which several defects can be named."""
    named = prediction.defects or ()
    uncertain = [label for label in prediction.candidates if label not in named]
    sure = share(prediction.confidence).replace(">", "over")
    one = len(named) == 1 and not uncertain
    words = _enumerated(named) if named else f"Perhaps {_enumerated(uncertain)}"
    reasons = []
    if uncertain and named:
        reasons.append(Reason("Perhaps also", _enumerated(uncertain), ": a person should look."))
    elif uncertain:
        reasons.append(Reason("No defect is certain: a person should look."))
    elif background.rules:
        reasons.append(Reason("All other defects are ruled out."))
    badge = _badge(prediction.verdict) if background.rules else None
    headline = Headline(words, sure if one else None)
    bars = _bars(prediction, background.rules)
    return str(_HTML.prediction(badge, headline, reasons, bars, note, background.references))


def _unknown(prediction: Prediction, note: str, references: Sequence[str]) -> str:
    """Return the panel of an unknown image: by how much, and the probabilities, folded."""
    novelty = prediction.novelty or 0.0
    times = "more than 100" if novelty > 100 else f"{max(novelty, 1.01):.2f}"
    # The limit is in the middle of the scale.
    width = f"{100 * novelty / (novelty + 1):.1f}"
    bars = _bars(prediction)
    return str(_HTML.unknown(_badge("unknown"), times, width, bars, note, references))


def _enumerated(names: Sequence[str]) -> str:
    """Return names as “a, b and c”; of a long list, the first few and the number of others."""
    shown = list(names)
    if len(shown) > MAX_NAMES:
        shown = [*shown[: MAX_NAMES - 1], f"{len(names) - MAX_NAMES + 1} more"]
    *others, last = shown
    return f"{', '.join(others)} and {last}" if others else last


def _scope(classes: int, background: Background) -> str:
    """Return what the model can classify and reject."""
    rules = background.rules
    if rules is None or rules.novelty_limit is None:
        if rules and rules.thresholds:
            return f"The model looks for {classes} defects, even on an unknown surface."
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
            "Its confidence is calibrated: of answers that are 90\u00a0% sure, about nine in ten "
            "are correct."
        )
    else:
        off = f"{max(100 * measured.after.ece, 0.1):.1f}"
        words = (
            f"On the test images its confidence was off by {off}\u00a0percentage points on average "
            "(expected calibration error)."
        )
    return f"{_scope(classes, background)} {words}"


def _bars(prediction: Prediction, rules: Rules | None = None) -> Bars:
    """Return the classes with their probabilities, the most likely first.

    Args:
        prediction: of the image.
        rules: whose thresholds of several defects are shown; None shows none.
    """
    thresholds = rules.thresholds if rules else None
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    sure, limit = share(prediction.confidence), None
    if prediction.verdict != "unknown":
        sure, limit = _confidence(prediction)
    others = ranked[MAX_ROWS:]
    return Bars(
        shown=ranked[:MAX_ROWS],
        first=sure,
        others=len(others),
        rest=sum(probability for _, probability in others),
        required=prediction.required,
        limit=limit,
        named_from=dict(zip(rules.labels, thresholds.named, strict=True))
        if rules and thresholds
        else None,
    )
