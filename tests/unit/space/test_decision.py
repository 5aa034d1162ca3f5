"""A decision: costs, verdicts, candidates, and its way to disk and back."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.inference.core.arrays import Floats
from space.inference.core.decision import Costs, Decision, Prediction, Rules
from space.inference.core.errors import ModelError
from space.inference.core.novelty import MahalanobisDetector, StageStatistics
from space.inference.decision_file import (
    DETECTOR_FILE,
    RULES_FILE,
    load_decision,
    save_decision,
)
from trainer.config.groups import DecisionConfig
from trainer.decision.rules import check_no_defect, fit_rules
from trainer.errors import ConfigError

LABELS = ["good", "pit", "scratch"]


def _rules(**changes: Any) -> Rules:
    parts: dict[str, Any] = {
        "labels": LABELS,
        "temperature": 2.0,
        "coverage": 0.9,
        "least_probability": 0.2,
        "costs": {"missed": 20, "false_alarm": 2, "review": 1, "no_defect": None},
        "novelty_limit": 4.0,
    }
    return Rules.from_json(parts | changes)


def _logits(*probabilities: float, temperature: float = 2.0) -> Floats:
    """Outputs that become these probabilities when divided by the temperature."""
    logits: Floats = temperature * np.log(np.array([probabilities]))
    return logits


def _textures() -> MahalanobisDetector:
    def stage() -> StageStatistics:
        return StageStatistics(np.zeros(2), np.eye(2), np.array([[0.0, 0.0], [6.0, 0.0]]))

    return MahalanobisDetector({1: stage(), 3: stage()})


def test_costs_of_every_mistake() -> None:
    costs = Costs(missed=20, false_alarm=2, review=1, no_defect="good")
    # [true class, named class]: a defect called good is missed; the wrong defect is both.
    assert costs.matrix(LABELS).tolist() == [[0, 2, 2], [20, 0, 22], [20, 22, 0]]
    everything = Costs(missed=20, false_alarm=2, review=1, no_defect=None)
    assert everything.matrix(LABELS).tolist() == [[0, 22, 22], [22, 0, 22], [22, 22, 0]]


@pytest.mark.parametrize(
    ("probabilities", "verdict"),
    # Wrong is 22, a look 1: sure above 1 - 1 / 22 = 0.9545.
    [((0.955, 0.03, 0.015), "class"), ((0.954, 0.03, 0.016), "unsure")],
)
def test_unsure_where_the_answer_costs_more_than_a_look(
    probabilities: tuple[float, ...], verdict: str
) -> None:
    [prediction] = Decision(_rules(), None).apply(_logits(*probabilities), [])
    assert prediction.verdict == verdict
    assert list(prediction.probabilities.values()) == pytest.approx(probabilities)


def test_what_competes_decides_where_a_class_means_no_defect() -> None:
    rules = _rules(costs={"missed": 20, "false_alarm": 2, "review": 1, "no_defect": "good"})
    decision = Decision(rules, None)
    # Called a pit, though it may be good: 0.4 × 2 < 1. Called good, though it may be a pit.
    [alarm] = decision.apply(_logits(0.4, 0.59, 0.01), [])
    [missed] = decision.apply(_logits(0.9, 0.09, 0.01), [])
    assert (alarm.verdict, missed.verdict) == ("unsure", "unsure")
    [alarm] = decision.apply(_logits(0.4, 0.599, 0.001), [])
    [safe] = decision.apply(_logits(0.96, 0.03, 0.01), [])
    assert (alarm.verdict, safe.verdict) == ("class", "class")


@given(
    logits=st.lists(st.floats(-60, 60), min_size=3, max_size=3),
    costs=st.tuples(*[st.floats(0, 100)] * 3),
    no_defect=st.sampled_from([None, "good"]),
)
def test_the_required_confidence_is_where_an_answer_costs_as_much_as_a_look(
    logits: list[float], costs: tuple[float, float, float], no_defect: str | None
) -> None:
    names = ("missed", "false_alarm", "review")
    chosen = Costs(**dict(zip(names, costs, strict=True)), no_defect=no_defect)
    rules = _rules(costs=asdict(chosen), temperature=1)
    [said] = Decision(rules, None).conclude(np.array([logits]), None)
    named = LABELS.index(said.label)
    shares = np.array(list(said.probabilities.values()))
    expected_cost = float(shares @ chosen.matrix(LABELS)[:, named])
    assert said.required is not None
    assert 0 <= said.required <= 1
    assert (said.verdict == "unsure") == (said.confidence < said.required)
    if abs(expected_cost - chosen.review) > 1e-9 * (1 + chosen.review):
        assert (said.verdict == "unsure") == (expected_cost > chosen.review)


def test_outputs_that_are_no_numbers_are_no_answer() -> None:
    for odd in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not finite"):
            Decision(_rules(), None).apply(np.array([[odd, 0.0, 0.0]]), [])
    [far] = Decision(_rules(), None).conclude(np.array([[9.0, 0.0, 0.0]]), np.array([float("nan")]))
    assert far.verdict == "unknown"
    assert far.novelty is not None
    assert math.isfinite(far.novelty)


def test_candidates_are_the_likeliest_and_all_above_the_limit() -> None:
    decision = Decision(_rules(), None)
    [several] = decision.apply(_logits(0.25, 0.7, 0.05), [])
    assert several.candidates == ("pit", "good")
    assert several.between == ("pit", "good")
    [strict] = Decision(_rules(least_probability=0.8), None).apply(_logits(0.3, 0.3, 0.4), [])
    assert strict.candidates == ("scratch",), "an empty set would help nobody"
    assert len(strict.between) == 2


def test_an_image_beyond_the_limit_is_unknown_however_sure_the_network_is() -> None:
    decision = Decision(_rules(novelty_limit=9.0), _textures())
    # Squared distances to the nearest class, over the two axes and both stages: 0, 8 and 9.25.
    described = np.array([[6.0, 0.0], [2.0, 2.0], [0.5, 3.0]])
    logits = _logits(0.999, 0.0005, 0.0005).repeat(3, axis=0)
    known, edge, unknown = decision.apply(logits, [described, described])
    assert [p.verdict for p in (known, edge, unknown)] == ["class", "class", "unknown"]
    # However unsure, too: nobody need ask about a surface that the network does not know.
    unsure = _logits(0.4, 0.35, 0.25).repeat(3, axis=0)
    verdicts = [p.verdict for p in decision.apply(unsure, [described, described])]
    assert verdicts == ["unsure", "unsure", "unknown"]
    expected = [0, 8 / 9, 9.25 / 9]
    assert [p.novelty for p in (known, edge, unknown)] == pytest.approx(expected)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    decision = Decision(_rules(), _textures())
    save_decision(decision, tmp_path)
    again = load_decision(tmp_path, LABELS)
    assert again is not None
    assert again.rules == decision.rules
    assert again.detector is not None
    assert list(again.detector.stages) == [1, 3]
    described = [np.array([[2.5, 1.0]])] * 2
    logits = _logits(0.5, 0.3, 0.2)
    assert again.apply(logits, described) == decision.apply(logits, described)


def test_a_model_that_rejects_nothing_needs_no_tensors(tmp_path: Path) -> None:
    save_decision(Decision(_rules(novelty_limit=None), None), tmp_path)
    assert not (tmp_path / DETECTOR_FILE).exists()
    read = load_decision(tmp_path, LABELS)
    assert read is not None
    assert read.detector is None
    [prediction] = read.apply(_logits(0.99, 0.005, 0.005), [])
    assert (prediction.verdict, prediction.novelty) == ("class", None)


def test_a_decision_of_other_classes_is_refused(tmp_path: Path) -> None:
    save_decision(Decision(_rules(), _textures()), tmp_path)
    with pytest.raises(ModelError, match="belongs to a model with other classes"):
        load_decision(tmp_path, [*LABELS[:2], "rust"])


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"temperature": 1e-308},
        {"temperature": "nan"},
        {"temperature": True},
        {"more": 1},
        {"costs": {"missed": 20, "false_alarm": 2, "review": 1, "no_defect": "rust"}},
    ],
)
def test_odd_rules_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    save_decision(Decision(_rules(), None), tmp_path)
    rules = json.loads((tmp_path / RULES_FILE).read_text())
    (tmp_path / RULES_FILE).write_text(json.dumps(rules | change))
    with pytest.raises(ModelError, match="can't be used"):
        load_decision(tmp_path, LABELS)


def test_rules_follow_from_the_evidence() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 500)
    logits = rng.normal(0, 1, (500, 3)) + 6 * np.eye(3)[truth]
    novelty = np.arange(1.0, 100.0)
    config = DecisionConfig(coverage=0.9, max_rejected=0.05, no_defect="good")
    decision = fit_rules(LABELS, logits, truth, _textures(), novelty, config)
    assert decision.rules.novelty_limit == 95
    said = decision.conclude(logits, None)
    held = [LABELS[t] in p.candidates for t, p in zip(truth, said, strict=True)]
    assert np.mean(held) >= 0.9
    assert decision.rules.costs == Costs(missed=20, false_alarm=2, review=1, no_defect="good")
    few = fit_rules(LABELS, logits, truth, _textures(), novelty[:10], config)
    assert (few.rules.novelty_limit, few.detector) == (None, None)


def test_the_class_without_defect_must_be_there() -> None:
    with pytest.raises(ConfigError, match="--no-defect Good: there is no such class"):
        check_no_defect(DecisionConfig(no_defect="Good"), LABELS)
    check_no_defect(DecisionConfig(no_defect="good"), LABELS)


def test_a_plain_prediction_is_a_class() -> None:
    plain = Prediction({"pit": 0.3, "good": 0.7})
    assert (plain.label, plain.confidence, plain.verdict) == ("good", 0.7, "class")
    assert plain.candidates == ()
