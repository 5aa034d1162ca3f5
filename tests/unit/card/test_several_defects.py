"""The card of a model that names several defects: its numbers, its promise and its code."""

from __future__ import annotations

import pytest

from benchmarks.several_defects import table
from model_card.card import render_card
from tests.support.reliability_facts import example_several_defects
from tests.support.reports import LABELS, example_cross_validation, example_report


def card_of(**changes: object) -> str:
    several = example_several_defects(LABELS, **changes)
    report = example_report().model_copy(update={"reliability": None, "several_defects": several})
    # Spaces that do not break lines.
    return render_card(report).replace("\u00a0", " ").replace("\u2060", "")


def test_every_number_has_its_place() -> None:
    card = card_of()
    for line in (
        "| Exactly the defects named | 86.1 % | 81.6–89.7 % |",
        "| … of 263 images with one defect | 92.4 % | 88.5–95.1 % |",
        "| A defect besides the class named, of 23 images with several | 47.8 % | 29.2–67.1 % |",
        "| … named or left to a person | 73.9 % | 53.5–87.5 % |",
        "| Sent to review: unsure | 21.6 % | 17.2–26.7 % |",
        "| Sent to review: unknown | 1.4 % | 0.5–3.5 % |",
        "| Exactly the defects named, of automatic answers | 95.1 % | 91.2–97.3 % |",
        "| Defects ruled out although they are there | **1.2 %** | mean of 93 pieces of surface; "
        "promised: at most 5.0 % |",
        "The mean cost per image is 0.477; it would be 1.000",
        "(mAP) of the classes is 0.943.",
        "of a further piece of surface, at most 5.0 % are expected to be ruled out",
        "fitted the lower thresholds to 71 pieces of surface",
        "On 93 pieces of surface in the test split, 1.2 % (95 % interval 0.2–5.9 %)",
        "it is 3.5 % (95 % interval 1.9–6.3 %)",
        "probabilities = (logits / 1.4142).sigmoid()",
        "It detected between 97.5 % and 99.5 % of the OOD images",
    ):
        assert line in card
    for place, label in enumerate(LABELS):
        assert f"| {label} | {61 + place} | {51.1 + place:.1f} % | {3.1 + place:.1f} % | " in card
    assert ".softmax(" not in card
    assert "it names one" not in card


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"automatic_exact": None}, "of automatic answers | no image is accepted | – |"),
        ({"ood_detection": None}, "This model does not detect OOD images"),
        (
            {
                "missed": {
                    **example_several_defects(LABELS).missed.model_dump(),
                    "promised": None,
                    "fitted_groups": 12,
                }
            },
            "**No share of missed defects is promised:** 12 pieces of surface",
        ),
    ],
)
def test_what_is_missing_is_said(changes: dict[str, object], words: str) -> None:
    assert words in card_of(**changes)


def test_more_defects_than_images_show_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than the defects"):
        example_several_defects(LABELS, several=1000)


def test_runs_stand_side_by_side() -> None:
    """The table of docs/results, from the reports alone."""
    reports = [
        example_report().model_copy(
            update={
                "reliability": None,
                "several_defects": example_several_defects(LABELS, **changes),
            }
        )
        for changes in ({}, {"mean_average_precision": 0.5})
    ]
    found = table(reports, ["python trainer/train.py"])
    one, mean = "Images with one defect (263): exactly it is named", "Mean average precision"
    assert [cells[1:] for cells in found.rows if cells[0] == one] == [((0.924, 0.885, 0.951),) * 2]
    assert [cells[1:] for cells in found.rows if cells[0] == mean] == [("0.943", "0.500")]
    assert "| … is named or left to a person | 73.9% (53.5%–87.5%) |" in found.markdown()
    with pytest.raises(SystemExit, match="names one class of each image"):
        table([example_report()], [])


def test_folds_are_shown_all_together() -> None:
    """The report of one fold holds what all of them found, too."""
    own, all_folds = (
        example_several_defects(LABELS, mean_average_precision=mean) for mean in (0.5, 0.75)
    )
    whole = example_report()
    folds = example_cross_validation().model_copy(update={"several_defects": all_folds})
    report = whole.model_copy(
        update={"reliability": None, "several_defects": own, "cross_validation": folds}
    )
    found = table([report], ["python trainer/train.py --folds 2"])
    assert found.columns[1].title.endswith(f" px, {len(folds.folds)} folds")
    assert found.rows[-1] == ("Mean average precision", "0.750")
    assert "each tested by a fold that has not seen its piece" in found.measured()
