"""The card warns of each promise that the test images contradict, and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from model_card import promises
from model_card.card import render_card
from model_card.formatting import mid_sentence
from model_card.promises import missed_promises
from model_card.schema.reliability import Reliability
from model_card.schema.robustness import Robustness
from tests.support.extra_facts import example_robustness, share
from tests.support.reliability_facts import example_reliability
from tests.support.reports import LABELS, example_cross_validation, example_report


def plain(sentences: list[str]) -> list[str]:
    return [text.replace("\u00a0", " ").replace("\u2060", "") for text in sentences]


def broken_reliability() -> Reliability:
    """Return a reliability in which each promise is missed, each by another number."""
    facts = example_reliability(LABELS).model_dump()
    facts["calibration"]["before"]["ece"] = 0.0117
    facts["calibration"]["after"]["ece"] = 0.0293
    facts["sets"]["coverage"] = {"value": 0.929, "low": 0.91, "high": 0.944}
    facts["sets"]["classes"][3]["coverage"] = {"value": 0.71, "low": 0.6, "high": 0.8}
    facts["sets"]["classes"][4]["coverage"] = {"value": 0.75, "low": 0.6, "high": 0.9}
    # Too few images for a warning.
    facts["sets"]["classes"][5] |= {"images": 9, "coverage": {"value": 0, "low": 0, "high": 0.3}}
    facts["ood_detection"]["test_rejected"] = {"value": 0.081, "low": 0.05, "high": 0.12}
    # 92.36 % are accepted: 6.19 % of all are accepted and wrong.
    facts["operating_point"]["automatic_accuracy"] = {"value": 0.933, "low": 0.9, "high": 0.96}
    return Reliability.model_validate(facts)


def broken_robustness() -> Robustness:
    found = example_robustness(images=120, hits=90)
    for kind, hits in zip(found.kinds, (49, 22, 5), strict=False):
        kind.steps[2] = kind.steps[2].model_copy(update={"unnoticed": share(hits, 120)})
    return found


def test_fulfilled_promises_give_no_warning() -> None:
    report = example_report(robustness=example_robustness(images=120, hits=90))
    assert missed_promises(report) == []
    assert "⚠️" not in render_card(example_report())


def test_each_missed_promise_is_a_sentence() -> None:
    robustness = broken_robustness()
    first = mid_sentence(robustness.kinds[0].name)
    report = example_report(reliability=broken_reliability(), robustness=robustness)
    assert plain(missed_promises(report)) == [
        "Calibration made the confidence worse: the expected calibration error (ECE) rose from "
        "1.17 % to 2.93 %.",
        "The prediction sets contain the true class of 92.9 % of the images; the target is 95.0 %.",
        "The coverage of single classes is lower: 71.0 % for Pitted; 1 other class is below the "
        "target, too.",
        "8.1 % of the test images are rejected as unknown; the limit should reject at most 2.0 %.",
        "Errors can go unnoticed: 6.2 % of the test images get a wrong class that is neither "
        "unsure nor unknown.",
        "Errors on corrupted images can go unnoticed: up to 40.8 % of the images "
        f"({first}); more than 5.0 % under 1 other corruption.",
    ]


def test_a_difference_within_chance_is_reported_as_such() -> None:
    facts = broken_reliability().model_dump()
    # No more than perfect calibration would show.
    facts["calibration"]["after"]["ece_by_chance"] = 0.03
    facts["sets"]["coverage"]["high"] = 0.961
    report = example_report(reliability=Reliability.model_validate(facts))
    sentences = plain(missed_promises(report))
    assert sentences[0].endswith("the target is 95.0 %; chance can explain the difference.")
    assert len(sentences) == 4


def test_a_few_more_rejected_images_can_be_chance() -> None:
    facts = example_reliability(LABELS).model_dump()
    facts["ood_detection"]["test_rejected"] = {"value": 0.03, "low": 0.012, "high": 0.06}
    assert facts["ood_detection"]["allowed"] == 0.02
    assert missed_promises(example_report(reliability=Reliability.model_validate(facts))) == []


def test_all_folds_decide_before_the_first() -> None:
    sound: dict[str, Any] = {
        "reliability": example_reliability(LABELS),
        "robustness": example_robustness(images=240, hits=180),
    }
    broken: dict[str, Any] = {
        "reliability": broken_reliability(),
        "robustness": broken_robustness(),
    }
    for first, together, count in ((broken, sound, 0), (sound, broken, 6)):
        folded = example_cross_validation().model_copy(update=together)
        report = example_report(cross_validation=folded, **first)
        assert len(missed_promises(report)) == count


def test_numbers_are_as_exact_as_all_folds_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    def decimals_for(images: int) -> int:
        counted.append(images)
        return 1

    monkeypatch.setattr(promises, "decimals_for", decimals_for)
    folds = example_cross_validation()
    missed_promises(example_report(cross_validation=folds))
    missed_promises(example_report())
    assert counted == [folds.all_images.images, 288]


def test_the_summary_of_the_card_warns() -> None:
    card = render_card(example_report(reliability=broken_reliability()))
    summary = card[: card.index("## Model details")]
    warning = "> ⚠️ **The test images contradict some promises of this model:**\n> - Calibration"
    assert warning in summary
    assert summary.count("\n> - ") == 5


def test_unnoticed_errors_count_those_that_are_accepted() -> None:
    """Six per cent of accepted answers are wrong, but fewer than 5 % of all images."""
    facts = example_reliability(LABELS).model_dump()
    wrong = {"value": 0.94, "low": 0.9, "high": 0.97}
    facts["operating_point"] |= {"automatic_accuracy": wrong}
    facts["operating_point"]["unsure"] = {"value": 0.3, "low": 0.2, "high": 0.4}
    assert missed_promises(example_report(reliability=Reliability.model_validate(facts))) == []
    facts["operating_point"]["automatic_accuracy"] = None
    assert missed_promises(example_report(reliability=Reliability.model_validate(facts))) == []


def test_unnoticed_errors_without_corruption_do_not_hide_those_with_it() -> None:
    clean = share(12, 120)
    found = broken_robustness().model_copy(update={"clean_unnoticed": clean})
    [sentence] = plain(missed_promises(example_report(robustness=found)))
    assert "more than 5.0 % under 1 other corruption" in sentence
