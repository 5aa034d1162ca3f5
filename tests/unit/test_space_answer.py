"""The words and HTML of an answer: each verdict, with and without a decision."""

from __future__ import annotations

import re
from typing import Any

import pytest

from space import answer
from space.decision import Costs, Prediction, Rules

HOSTILE = "<img src=x onerror=alert(1)>&\"'"
KNOWS = (
    "The model knows 3 classes, and tells what looks like none of them. Its confidence is "
    "calibrated: of answers that are 90 % sure, about nine in ten are right."
)


def _rules(**changes: Any) -> Rules:
    parts: dict[str, Any] = {
        "labels": ["Crazing", "Scratches", "Pitted"],
        "temperature": 1,
        "coverage": 0.95,
        "least_probability": 0.1,
        "costs": Costs(missed=20, false_alarm=2, look=1, no_defect=None),
        "strangeness_limit": 8,
    }
    return Rules.model_validate(parts | changes)


def _text(html: str) -> str:
    """Return what a reader sees, on one line."""
    words = re.sub(r"<[^>]+>", " ", html.replace("&nbsp;", " ").replace("&lt;", "<"))
    return re.sub(r"\s+", " ", words.replace("&gt;", ">")).strip()


@pytest.mark.parametrize(
    ("probability", "written"),
    [
        (0.974, "97 %"),
        (0.994, "99 %"),
        (0.995, "> 99 %"),
        (0.99999, "> 99 %"),
        (1, "100 %"),
        (0.006, "1 %"),
        (0.004, "< 1 %"),
        (0, "0 %"),
    ],
)
def test_a_probability_claims_certainty_only_where_it_is_exact(
    probability: float, written: str
) -> None:
    assert _text(answer.share(probability)) == written


def test_the_verdict_comes_first_and_the_classes_by_probability() -> None:
    prediction = Prediction({"Crazing": 0.02, "Scratches": 0.97, "Pitted": 0.01})
    assert _text(answer.judged(prediction, None)).startswith(
        "Scratches — 97 % sure Scratches 97 % Crazing 2 % Pitted 1 % The model always picks one"
    )


def test_a_confidence_near_1_is_said_in_words() -> None:
    prediction = Prediction({"Crazing": 0.9999, "Pitted": 0.0001})
    assert _text(answer.judged(prediction, None)).startswith("Crazing — more than 99 % sure")


def test_of_many_classes_the_least_probable_are_summed_up() -> None:
    shares = {"first": 0.5, **{f"class {number}": 0.05 for number in range(10)}}
    text = _text(answer.judged(Prediction(shares), None))
    assert text.count("class ") == 9
    assert "1 more class: 5 %" in text
    shares["last"] = 0.0
    assert "2 more classes: 5 %" in _text(answer.judged(Prediction(shares), None))


def test_an_answer_that_can_be_taken() -> None:
    shares = {"Crazing": 0.02, "Scratches": 0.97, "Pitted": 0.01}
    html = answer.judged(Prediction(shares, ("Scratches",), "class", 0.3), _rules())
    assert '<p class="badge class">' in html
    assert _text(html) == (
        "The answer can be taken Scratches — 97 % sure Prediction set at 95 % coverage: Scratches "
        f"Scratches 97 % Crazing 2 % Pitted 1 % {KNOWS}"
    )


def test_an_answer_that_a_person_should_look_at() -> None:
    shares = {"Crazing": 0.34, "Scratches": 0.6, "Pitted": 0.06}
    two = Prediction(shares, ("Scratches", "Crazing"), "unsure", 0.3)
    html = answer.judged(two, _rules())
    assert '<p class="badge unsure">' in html
    assert _text(html).startswith(
        "A person should look Unsure between Scratches and Crazing "
        "Prediction set at 95 % coverage: Scratches, Crazing Scratches 60 %"
    )
    three = Prediction(shares, ("Scratches", "Crazing", "Pitted"), "unsure")
    assert "Unsure between Scratches, Crazing and Pitted" in _text(answer.judged(three, _rules()))


def test_a_surface_that_is_not_known() -> None:
    shares = {"Crazing": 0.999, "Scratches": 0.001, "Pitted": 0.0}
    html = answer.judged(Prediction(shares, ("Crazing",), "unknown", 7.0), _rules())
    assert '<p class="badge unknown">' in html
    text = _text(html)
    assert text.startswith("Not a surface that this model knows Unknown surface The image looks")
    assert "sure Crazing" not in text
    assert "Prediction set" not in text


def test_the_note_claims_no_more_than_the_model_can() -> None:
    labels = ["Crazing", "Scratches", "Pitted"]
    assert "is not calibrated" in _text(answer.waiting(labels, None))
    assert _text(answer.waiting(labels, _rules())).endswith(KNOWS)
    never = _text(answer.waiting(labels, _rules(strangeness_limit=None)))
    assert "always picks one of its 3 classes" in never
    assert "is calibrated" in never


@pytest.mark.parametrize(
    "html",
    [
        answer.judged(Prediction({HOSTILE: 1.0}), None),
        answer.judged(Prediction({HOSTILE: 1.0}, (HOSTILE,), "class"), _rules()),
        answer.judged(Prediction({HOSTILE: 0.6, "b": 0.4}, (HOSTILE,), "unsure"), _rules()),
        answer.judged(Prediction({HOSTILE: 1.0}, (HOSTILE,), "unknown", 2.0), _rules()),
        answer.waiting([HOSTILE], _rules()),
        answer.problem(HOSTILE, HOSTILE),
    ],
)
def test_names_from_outside_are_shown_and_not_obeyed(html: str) -> None:
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#x27;" in html
