"""The words and HTML of an answer: each verdict, with and without a decision."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.inference.core.decision import Costs, Decision, Prediction, Rules
from space.inference.multilabel.thresholds import Thresholds
from space.report_schema import Agreement, Calibration
from space.ui import prediction_panel
from space.ui.prediction_panel import Background
from space.ui.rendering import share

HOSTILE = "<img src=x onerror=alert(1)>&\"'"
KNOWS = "The model knows 3 classes and rejects images that resemble none of them."
CALIBRATED = (
    "Its confidence is calibrated: of answers that are 90 % sure, about nine in ten are correct."
)
PLAIN = Background()


def _rules(**changes: Any) -> Rules:
    parts: dict[str, Any] = {
        "labels": ["Crazing", "Scratches", "Pitted"],
        "temperature": 1,
        "coverage": 0.95,
        "least_probability": 0.1,
        "costs": Costs(missed=20, false_alarm=2, review=1, no_defect=None),
        "novelty_limit": 8,
    }
    return Rules(**(parts | changes))


def _measured(before: float, after: float, chance: float = 0.02) -> Calibration:
    parts = [Agreement(ece=ece, ece_by_chance=chance) for ece in (before, after)]
    return Calibration(before=parts[0], after=parts[1])


def _background(**changes: Any) -> Background:
    parts: dict[str, Any] = {"rules": _rules(), "calibration": _measured(0.1, 0.01)} | changes
    return Background(**parts)


def _text(html: str) -> str:
    """Return what a reader sees, on one line."""
    words = unescape(re.sub(r"<[^>]+>", " ", html))
    return re.sub(r"\s+", " ", words).strip()


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
    assert _text(share(probability)) == written


def test_the_verdict_comes_first_and_the_classes_by_probability() -> None:
    prediction = Prediction({"Crazing": 0.02, "Scratches": 0.97, "Pitted": 0.01})
    assert _text(prediction_panel.prediction(prediction, PLAIN)).startswith(
        "Scratches — 97 % sure Scratches 97 % Crazing 2 % Pitted 1 % The model always assigns one"
    )


def test_a_confidence_near_1_is_said_in_words() -> None:
    prediction = Prediction({"Crazing": 0.9999, "Pitted": 0.0001})
    assert _text(prediction_panel.prediction(prediction, PLAIN)).startswith(
        "Crazing — over 99 % sure"
    )


def test_of_many_classes_the_least_probable_are_summed_up() -> None:
    shares = {"first": 0.5, **{f"class {number}": 0.05 for number in range(10)}}
    text = _text(prediction_panel.prediction(Prediction(shares), PLAIN))
    assert text.count("class ") == 9
    assert "1 more class: 5 %" in text
    shares["last"] = 0.0
    assert "2 more classes: 5 %" in _text(prediction_panel.prediction(Prediction(shares), PLAIN))


def test_an_accepted_answer() -> None:
    shares = {"Crazing": 0.02, "Scratches": 0.97, "Pitted": 0.01}
    prediction = Prediction(shares, ("Scratches",), "class", 0.3, 0.9545)
    html = prediction_panel.prediction(prediction, _background())
    assert '<p class="badge class">' in html
    assert '<b class="limit" style="left:95.45%">' in html
    assert _text(html) == (
        "Answer accepted Scratches — 97 % sure Prediction set at 95 % coverage: Scratches "
        "Scratches 97 % Crazing 2 % Pitted 1 % An automatic answer needs 95.5 % "
        f"{KNOWS} {CALIBRATED}"
    )


def test_an_accepted_answer_with_other_candidates() -> None:
    prediction = Prediction({"Crazing": 0.3, "Pitted": 0.7}, ("Pitted", "Crazing"), "class", 0.3, 0)
    text = _text(prediction_panel.prediction(prediction, _background()))
    assert "At 95 % coverage it may also be Crazing ; given the costs of mistakes" in text
    assert "An automatic answer needs" not in text


def test_an_unsure_answer_of_one_candidate_names_the_limit() -> None:
    shares = {"Crazing": 0.08, "Scratches": 0.88, "Pitted": 0.04}
    prediction = Prediction(shares, ("Scratches",), "unsure", 0.3, 0.9545)
    html = prediction_panel.prediction(prediction, _background())
    assert '<p class="badge unsure">' in html
    assert _text(html).startswith(
        "Needs human review Probably Scratches — 88 % sure That is below the 95.5 % that an "
        "automatic answer needs. Prediction set at 95 % coverage: Scratches Scratches 88 %"
    )
    assert "etween" not in html


def test_an_unsure_answer_of_several_candidates_names_them() -> None:
    shares = {"Crazing": 0.34, "Scratches": 0.6, "Pitted": 0.06}
    two = Prediction(shares, ("Scratches", "Crazing"), "unsure", 0.3, 0.9545)
    assert _text(prediction_panel.prediction(two, _background())).startswith(
        "Needs human review Between Scratches and Crazing Scratches is the most likely at 60 %, "
        "below the 95.5 % that an automatic answer needs. "
        "Prediction set at 95 % coverage: Scratches, Crazing Scratches 60 %"
    )
    many = {f"class {number}": 1 / 9 for number in range(9)}
    nine = Prediction(many, tuple(many), "unsure", 0.3, 0.9)
    assert "Between class 0, class 1, class 2 and 6 more" in _text(
        prediction_panel.prediction(nine, _background())
    )


def test_an_unknown_surface_is_reported_once_with_its_novelty() -> None:
    shares = {"Crazing": 0.999, "Scratches": 0.001, "Pitted": 0.0}
    html = prediction_panel.prediction(
        Prediction(shares, ("Crazing",), "unknown", 1.074, 0.95), _background()
    )
    text = _text(html)
    assert text == (
        "Unknown surface The image differs from all training images, so no class is reported. "
        "Novelty 1.07 × the limit Class probabilities (not reliable here) "
        f"Crazing > 99 % Scratches < 1 % Pitted 0 % {KNOWS}"
    )
    assert text.lower().count("unknown") == 1
    assert html.index("<details>") < html.index("probabilities")
    for novelty, said in ((1.0001, "1.01"), (7.0, "7.00"), (3e300, "more than 100")):
        far = Prediction(shares, ("Crazing",), "unknown", novelty)
        assert f"Novelty {said} × the limit" in _text(
            prediction_panel.prediction(far, _background())
        )


def test_a_model_of_drawings_never_accepts_a_photograph() -> None:
    shares = {"Crazing": 0.01, "Scratches": 0.99, "Pitted": 0.0}
    sure = Prediction(shares, ("Scratches",), "class", 0.3, 0.95)
    upload = prediction_panel.prediction(sure, _background(drawn=True))
    assert "badge class" not in upload
    assert _text(upload).startswith("Trained on drawings: do not rely on it Most like Scratches ")
    assert " sure" not in upload
    assert "needs" not in upload
    assert "calibrated" not in upload
    own = prediction_panel.prediction(sure, _background(drawn=True), own_example=True)
    assert "badge class" in own
    assert "Scratches — 99 % sure" in _text(own)
    assert "calibrated" not in own


def test_without_an_image_the_page_names_the_classes_and_claims_nothing() -> None:
    text = _text(prediction_panel.waiting(["Crazing", "Scratches", "Pitted"], _background()))
    assert text == (
        f"No image yet Drop or paste one anywhere on this page. {KNOWS} Crazing Scratches Pitted"
    )


def test_a_class_with_a_reference_picture_has_a_button_for_it() -> None:
    background = _background(references=("Pitted", "Crazing"))
    shares = {"Crazing": 0.02, "Scratches": 0.97, "Pitted": 0.01}
    for html in (
        prediction_panel.waiting(list(shares), background),
        prediction_panel.prediction(Prediction(shares, ("Scratches",)), background),
        prediction_panel.prediction(Prediction(shares, verdict="unknown", novelty=2), background),
    ):
        buttons = re.findall(r'popovertarget="look-(\d)"[^>]*>(\w+)<', html)
        assert sorted(buttons) == [("0", "Pitted"), ("1", "Crazing")]


def test_the_note_claims_no_more_than_was_measured() -> None:
    prediction = Prediction({"Crazing": 0.2, "Scratches": 0.7, "Pitted": 0.1}, ("Scratches",))

    def note(**changes: Any) -> str:
        return _text(prediction_panel.prediction(prediction, _background(**changes)))

    assert "is not calibrated" in _text(prediction_panel.prediction(prediction, PLAIN))
    assert note().endswith(f"{KNOWS} {CALIBRATED}")
    never = note(rules=_rules(novelty_limit=None))
    assert "always assigns one of its 3 classes" in never
    assert "is calibrated" in never
    worse = note(calibration=_measured(0.0389, 0.0545))
    assert worse.endswith("off by 5.5 percentage points on average (expected calibration error).")
    assert "is calibrated" not in worse
    assert "is calibrated" not in note(calibration=_measured(0.2, 0.1, chance=0.02))
    assert note(calibration=None).endswith("The calibration of its confidence was not published.")


def _number(text: str) -> float:
    found = re.search(r"([\d.]+) %", text)
    assert found
    return float(found[1])


@given(
    logits=st.lists(st.floats(-8, 8), min_size=3, max_size=3),
    scale=st.sampled_from([0.1, 1, 1.5]),
    costs=st.tuples(*[st.floats(0, 30)] * 3),
    no_defect=st.sampled_from([None, "Pitted"]),
    least=st.floats(0, 1),
)
def test_words_numbers_and_set_never_contradict(
    logits: list[float],
    scale: float,
    costs: tuple[float, float, float],
    no_defect: str | None,
    least: float,
) -> None:
    missed, false_alarm, review = costs
    chosen = Costs(missed=missed, false_alarm=false_alarm, review=review, no_defect=no_defect)
    rules = _rules(costs=chosen, least_probability=least)
    [said] = Decision(rules, None).conclude(scale * np.array([logits]), None)
    html = prediction_panel.prediction(said, _background(rules=rules))
    text = _text(html)
    badge = prediction_panel.ADVICE["unsure" if said.verdict == "unsure" else "class"]
    assert text.startswith(badge)
    limit = re.search(r"An automatic answer needs ([\d.]+) %", text)
    assert (limit is not None) == bool(said.required)
    assert ("Between" in text) == (said.verdict == "unsure" and len(said.candidates) > 1)
    assert ("Probably" in text) == (said.verdict == "unsure" and len(said.candidates) == 1)
    top_row = re.search(r'class="share">([^<]*)<', html)
    assert top_row
    sure = _text(top_row[1])
    if limit is not None:
        # "> 99 %" means 99 at least.
        below = _number(sure) < float(limit[1])
        assert below == (said.verdict == "unsure"), text
    if said.verdict == "unsure":
        assert f"below the {limit[1]} %" in text if limit else False
        assert sure.removeprefix("> ") in text
    assert ", ".join(said.candidates) in text or said.verdict == "class"


@pytest.mark.parametrize("least", [0, 0.001])
def test_a_set_that_can_leave_out_no_class_says_why(least: float) -> None:
    rules = _rules(least_probability=least)
    [said] = Decision(rules, None).conclude(np.array([[9.0, 3.0, 3.0]]), None)
    assert (said.verdict, len(said.candidates)) == ("class", 3)
    text = _text(prediction_panel.prediction(said, _background(rules=rules)))
    why = "all classes, because training had too few validation images to leave one out."
    assert (why in text) == (least == 0)
    assert ("it may also be" in text) == (least > 0)


@pytest.mark.parametrize(
    "html",
    [
        prediction_panel.prediction(Prediction({HOSTILE: 1.0}), PLAIN),
        prediction_panel.prediction(Prediction({HOSTILE: 1.0}, (HOSTILE,), "class"), _background()),
        prediction_panel.prediction(
            Prediction({HOSTILE: 0.6, "b": 0.4}, (HOSTILE,), "unsure"), _background()
        ),
        prediction_panel.prediction(
            Prediction({HOSTILE: 1.0}, (HOSTILE,), "unknown", 2.0), _background()
        ),
        prediction_panel.waiting([HOSTILE], _background()),
        prediction_panel.waiting([HOSTILE], _background(references=(HOSTILE,))),
        prediction_panel.problem(HOSTILE, HOSTILE),
    ],
)
def test_names_from_outside_are_shown_and_not_obeyed(html: str) -> None:
    # A browser shows a line break between two tags as a space.
    assert "\n" not in html
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;&#34;&#39;" in html


THRESHOLDS = Thresholds(named=[0.5, 0.6, 0.4], absent=[0.05] * 3, max_missed=0.05)


def _several(
    verdict: Any, defects: tuple[str, ...], candidates: tuple[str, ...], **changes: Any
) -> str:
    shares = {"Crazing": 0.97, "Scratches": 0.7, "Pitted": 0.2}
    answer = Prediction(shares, candidates, verdict, 0.5, defects=defects)
    rules = _rules(thresholds=THRESHOLDS)
    return prediction_panel.prediction(answer, _background(rules=rules, **changes))


@pytest.mark.parametrize(
    ("verdict", "defects", "candidates", "words"),
    [
        (
            *("class", ("Crazing", "Scratches"), ("Crazing", "Scratches")),
            "Answer accepted Crazing and Scratches All other defects are ruled out. Crazing",
        ),
        (
            *("class", ("Crazing",), ("Crazing",)),
            "Answer accepted Crazing — 97 % sure All other defects are ruled out.",
        ),
        (
            *("unsure", ("Crazing",), ("Crazing", "Scratches", "Pitted")),
            "Needs human review Crazing Perhaps also Scratches and Pitted : a person should look.",
        ),
        (
            *("unsure", (), ("Scratches", "Pitted")),
            "Needs human review Perhaps Scratches and Pitted No defect is certain: a person",
        ),
        (*("unknown", ("Crazing",), ("Crazing",)), "Unknown surface The image differs from all"),
    ],
)
def test_several_defects_in_words(
    verdict: Any, defects: tuple[str, ...], candidates: tuple[str, ...], words: str
) -> None:
    assert _text(_several(verdict, defects, candidates)).startswith(words)


def test_each_bar_marks_where_its_class_is_named() -> None:
    html = _several("class", ("Crazing", "Scratches"), ("Crazing", "Scratches"))
    marks = re.findall(r'<b class="limit" style="left:([\d.]+)%"', html)
    assert marks == ["50.00", "60.00", "40.00"]
    assert "From here on a class is named" in html
    # Of a model that never saw a photograph, nothing is accepted.
    drawn = _text(_several("class", ("Crazing",), ("Crazing",), drawn=True))
    assert drawn.startswith("Trained on drawings: do not rely on it Most like Crazing")
    unlimited = _rules(thresholds=THRESHOLDS, novelty_limit=None)
    assert "looks for 3 defects" in _text(
        prediction_panel.waiting(["a", "b", "c"], _background(rules=unlimited))
    )
