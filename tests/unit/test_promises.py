"""What the tests did not confirm is said in the card, and nothing else is."""

from __future__ import annotations

from typing import Any

from model_card.card import render_card
from model_card.promises import missed_promises
from model_card.schema.reliability import Reliability
from model_card.schema.robustness import Robustness
from tests.extra_facts import example_robustness, share
from tests.reliability_facts import example_reliability
from tests.reports import LABELS, example_cross_validation, example_report


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
    # Too few to say anything.
    facts["sets"]["classes"][5] |= {"images": 9, "coverage": {"value": 0, "low": 0, "high": 0.3}}
    facts["ood_detection"]["test_rejected"] = {"value": 0.081, "low": 0.05, "high": 0.12}
    return Reliability.model_validate(facts)


def broken_robustness() -> Robustness:
    found = example_robustness(images=120, hits=90)
    for kind, hits in zip(found.kinds, (49, 22, 5), strict=False):
        kind.steps[2] = kind.steps[2].model_copy(update={"unnoticed": share(hits, 120)})
    return found


def test_kept_promises_are_no_news() -> None:
    report = example_report(robustness=example_robustness(images=120, hits=90))
    assert missed_promises(report) == []
    assert "not all promises" not in render_card(example_report())


def test_each_missed_promise_is_a_sentence() -> None:
    robustness = broken_robustness()
    first = robustness.kinds[0].name
    report = example_report(reliability=broken_reliability(), robustness=robustness)
    assert plain(missed_promises(report)) == [
        "Calibration made the confidence worse: its error (ECE) went from 1.17 % to 2.93 %.",
        "The true class was among the candidates of 92.9 % of the images, not of the promised "
        "95.0 %.",
        "Single classes are worse: 71.0 % for Pitted; 1 more class is below the promise, too.",
        "8.1 % of the test images were called an unknown surface; at most 2.0 % were promised.",
        "Corrupted images can be named wrongly without a word of doubt: up to 40.8 % of them "
        f"({first}); above 5.0 % under 1 other corruption, too.",
    ]


def test_what_chance_explains_is_said_so() -> None:
    facts = broken_reliability().model_dump()
    # No more than perfect confidences would show.
    facts["calibration"]["after"]["ece_by_chance"] = 0.03
    facts["sets"]["coverage"]["high"] = 0.961
    report = example_report(reliability=Reliability.model_validate(facts))
    sentences = plain(missed_promises(report))
    assert sentences[0].endswith("not of the promised 95.0 %, which chance can explain.")
    assert len(sentences) == 3


def test_more_refused_images_than_promised_may_be_chance() -> None:
    facts = example_reliability(LABELS).model_dump()
    facts["ood_detection"]["test_rejected"] = {"value": 0.03, "low": 0.012, "high": 0.06}
    assert facts["ood_detection"]["allowed"] == 0.02
    assert missed_promises(example_report(reliability=Reliability.model_validate(facts))) == []


def test_all_folds_speak_before_the_first() -> None:
    sound: dict[str, Any] = {
        "reliability": example_reliability(LABELS),
        "robustness": example_robustness(images=240, hits=180),
    }
    broken: dict[str, Any] = {
        "reliability": broken_reliability(),
        "robustness": broken_robustness(),
    }
    for first, together, count in ((broken, sound, 0), (sound, broken, 5)):
        folded = example_cross_validation().model_copy(update=together)
        report = example_report(cross_validation=folded, **first)
        assert len(missed_promises(report)) == count


def test_the_summary_of_the_card_warns() -> None:
    card = render_card(example_report(reliability=broken_reliability()))
    summary = card[: card.index("## Use it")]
    assert "> ⚠️ **On the test images, not all promises were kept:**\n> - Calibration" in summary
    assert summary.count("\n> - ") == 4
