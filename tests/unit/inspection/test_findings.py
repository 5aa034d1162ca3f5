"""The findings of an inspection: numbers, levels, sections and order, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from model_card.schema.run.data import Leakage, SkippedImage
from tests.unit.inspection.test_pictures import pair
from trainer.inspection.report.finding import Finding
from trainer.inspection.report.listing import list_findings
from trainer.inspection.report.schema import (
    ClassSchema,
    ConvertedImage,
    CorrectionSummary,
    DataReport,
    Duplicates,
    Group,
    LabelCheck,
    LabelError,
    NamesAlike,
    NextImage,
    RandomSplit,
    SizeCount,
)

PROBLEM: Final = "problem"
REVIEW: Final = "review"
OK: Final = "ok"


def class_of(
    label: str, images: int, size_px: tuple[int, int] = (200, 200), *, surfaces: int = 9
) -> ClassSchema:
    sizes = [SizeCount(size_px=size_px, images=images)]
    return ClassSchema(label=label, images=images, surfaces=surfaces, sizes=sizes, gray=None)


def report(**changes: Any) -> DataReport:
    """Return the report on images without any flaw, but for the changes."""
    facts: dict[str, Any] = {
        "source": "steel",
        "images": 1200,
        "splits": [],
        "given_splits": False,
        "unusable": [],
        "converted": [],
        "bit_depth": None,
        "depth_mixture": None,
        "layout_problems": [],
        "layout_notes": [],
        "names_alike": [],
        "classes": [class_of("A", 600), class_of("B", 600)],
        "duplicates": [],
        "pairs": [],
        "groups": [],
        "surfaces": 1200,
        "leakage": [],
        "random_split": None,
        "label_check": None,
    }
    return DataReport(**facts | changes)


def found(**changes: Any) -> list[Finding]:
    """Return what is found besides what is found in images without any flaw, spaces plain."""
    plain = list_findings(report())
    return [
        replace(each, title=_spaced(each.title), text=_spaced(each.text))
        for each in list_findings(report(**changes))
        if each not in plain
    ]


def _spaced(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_images_without_any_flaw() -> None:
    findings = list_findings(report())
    assert [(each.level, each.title, each.section) for each in findings] == [
        (OK, "No two images show the same surface", "pairs"),
        (OK, "All 1,200 files are readable images", "files"),
        (OK, "2 classes of similar size", "classes"),
    ]
    assert findings[-1].text == "All have the same number of images."


def test_problems_come_before_what_a_person_should_check() -> None:
    findings = list_findings(
        report(
            layout_notes=["One level of folders."],
            layout_problems=["A class is empty."],
            classes=[class_of("A", 60), class_of("B", 90)],
        )
    )
    assert [each.level for each in findings] == [PROBLEM, REVIEW, OK, OK, OK]
    assert findings[0] == Finding(
        PROBLEM, "Training refuses this folder", "A class is empty.", "files"
    )
    assert findings[1] == Finding(
        REVIEW,
        "One level of folders",
        "That is how the layout was understood. Check that you meant it so.",
        "files",
    )
    assert findings[-1].text == "The largest has 1.5 times the images of the smallest."


@pytest.mark.parametrize("given", [False, True])
def test_a_class_of_one_piece_of_surface_cannot_be_split(given: bool) -> None:
    classes = [class_of("A", 60), class_of("B", 70, surfaces=1), class_of("C", 80, surfaces=2)]
    problems = [
        each
        for each in list_findings(report(classes=classes, given_splits=given))
        if each.level == PROBLEM
    ]
    if given:
        assert problems == []
        return
    [problem] = problems
    assert problem.title == "1 class of a single piece of surface"
    assert problem.text.startswith("B (70 images). Training refuses that")


def named_alike(how: str) -> list[NamesAlike]:
    return [NamesAlike(one="Scratch", other="scratch", difference=how)]


DUPLICATES = [
    Duplicates(files=["1", "2"], labels=["A"]),
    Duplicates(files=["3", "4", "5", "6", "7"], labels=["A", "B"]),
    Duplicates(files=["8", "9"], labels=["B"]),
    Duplicates(files=["10", "11"], labels=["B"]),
]
ERROR = LabelError(
    file="1", label="A", suggestion="B", label_probability=0.1, suggestion_probability=0.9
)
LEAKS = [
    Leakage(split="validation", seen_in="training", images=0, of=300),
    Leakage(split="test", seen_in="training or validation", images=30, of=240),
]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"names_alike": named_alike("upper and lower case")},
            [(PROBLEM, "Scratch and scratch may be one class", "only by upper and lower case.")],
        ),
        (
            {"names_alike": named_alike("a plural")},
            [(REVIEW, "Scratch and scratch may be one class", "only by a plural.")],
        ),
        (
            {"classes": [class_of("A", 50), class_of("B", 49), class_of("C", 7)]},
            [
                (REVIEW, "2 classes of fewer than 50 images", "B (49) and C (7). A score"),
                (REVIEW, "The largest class is 7.1 times the smallest", "--class-weights balanced"),
            ],
        ),
        (
            {"classes": [class_of("A", 600), class_of("B", 600, (64, 48))]},
            [
                (REVIEW, "Size alone identifies A", "All its images are 200 × 200 pixels"),
                (REVIEW, "Size alone identifies B", "All its images are 64 × 48 pixels"),
            ],
        ),
        (
            {"duplicates": DUPLICATES},
            [
                (PROBLEM, "1 image under more than one label", "A and B (3, 4, 5 and 2 more)."),
                (REVIEW, "3 images stored more than once", "in 1 and 2, and in 2 more such sets."),
            ],
        ),
        (
            {"label_check": LabelCheck(images=800, likely_errors=[ERROR])},
            [(REVIEW, "1 label of 800 may be wrong", "confident of another class")],
        ),
        (
            {"label_check": LabelCheck(images=800, likely_errors=[])},
            [(OK, "No likely label errors", "The predictions for 800 images contradict no label.")],
        ),
        (
            {"leakage": LEAKS},
            [
                (
                    PROBLEM,
                    "12.5 % of the test split overlaps training or validation",
                    "30 of 240 test images show a piece of surface that is also in training or",
                ),
                (OK, "The validation split has no leakage", "None of its 300 images shows"),
            ],
        ),
        (
            {"random_split": RandomSplit(test_share=0.2, splits=20, mean=0.3, deviation=0.025)},
            [
                (
                    REVIEW,
                    "A random split would leak 30.0 % of its test images",
                    "In a random 80/20 split, 30.0 ± 2.5 % of the test images would show",
                )
            ],
        ),
        ({"random_split": RandomSplit(test_share=0.2, splits=20, mean=0, deviation=0)}, []),
        ({"bit_depth": 12}, [(OK, "Samples of 12 bits are scaled to 8", "needs more than 12.")]),
        (
            {"converted": [ConvertedImage(file="1", conversion="CMYK")]},
            [(REVIEW, "1 image in an unusual format", "convert them in the same way")],
        ),
        (
            {"unusable": [SkippedImage(file=f"{n}.png", reason="cut") for n in range(5)]},
            [
                (
                    PROBLEM,
                    "5 files can’t be used",
                    "0.png, 1.png, 2.png and 2 more. Fix or remove them",
                )
            ],
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_numbers(
    changes: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    findings = found(**changes)
    assert [(each.level, each.title) for each in findings] == [each[:2] for each in expected]
    for finding, (_, _, words) in zip(findings, expected, strict=True):
        assert words in finding.text


def test_shared_surfaces_are_counted_in_images_pairs_and_pieces() -> None:
    """Three images of one piece in a chain, and two of another, turned and in two classes."""
    other = pair("4", "5", 3, 0, 9).model_copy(update={"label_b": "B"})
    shared, across = found(
        pairs=[pair("1", "2", 0, 0, 9), pair("2", "3", 0, 0, 9), other],
        groups=[Group(files=["1", "2", "3"], labels=["A"]), Group(files=["4", "5"], labels=["A"])],
        surfaces=1197,
        classes=[class_of("A", 600, surfaces=599), class_of("B", 600, surfaces=598)],
    )
    assert shared.title == "0.4 % of the images share surface with another"
    assert shared.text == (
        "5 images of 1,200 overlap in 3 pairs, 1 of them rotated or mirrored. All images show "
        "1,197 separate pieces of surface; the most photographed is in 3 images. Count pieces, not "
        "images, to estimate the size of the dataset: B has 598 in 600 images."
    )
    assert across.title == "1 pair of the same surface under two classes"


FEEDBACK = CorrectionSummary(
    folder="corrections",
    corrections=9,
    images=7,
    by_class={"A": 4},
    without_class={"no defect": 2},
    by_verdict={"class": 5, "unsure": 2},
    contradicting={"c.png": ["A", "B"]},
    next_images=[NextImage(file=f"{n}.png", candidates=2, novelty=0.5) for n in range(8)],
    damaged=[SkippedImage(file="x.json", reason="cut")],
)


def test_what_visitors_corrected_is_summed_up() -> None:
    findings = {each.title: each for each in found(feedback=FEEDBACK)}
    assert {title: each.level for title, each in findings.items()} == {
        "1 file of the feedback can't be used": PROBLEM,
        "The corrections of 1 image contradict": REVIEW,
        "Look at 0.png next": REVIEW,
        "The feedback corrects 7 images: 4 A and 2 no defect": OK,
    }
    texts = " ".join(each.text for each in findings.values())
    assert "The model's verdicts were: 5 class and 2 unsure." in texts
    assert "x.json (cut)." in texts
    assert "leaves them out: c.png." in texts
    assert "0.png, 1.png, 2.png, 3.png, 4.png, 5.png and 2 more." in texts


def test_corrections_that_all_contradict_or_are_damaged() -> None:
    """There is no class to count, and no verdict of the model."""
    none: dict[str, Any] = {"by_class": {}, "without_class": {}, "next_images": []}
    contradict = FEEDBACK.model_copy(update={**none, "images": 1})
    titles = [each.title for each in found(feedback=contradict)]
    assert titles[-1] == "The feedback corrects 1 image: no corrections agree"
    damaged = FEEDBACK.model_copy(
        update={**none, "images": 0, "by_verdict": {}, "contradicting": {}}
    )
    assert [each.title for each in found(feedback=damaged)] == [
        "1 file of the feedback can't be used"
    ]
