"""Findings on labels that may be wrong, and on corrections of a web page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from model_card.formatting import counted, enumeration, shortlist
from trainer.inspection.report.finding import LISTED, Finding, named
from trainer.inspection.report.schema import DataReport


def on_labels(report: DataReport) -> Iterator[Finding]:
    """Yield copies under several labels, and labels that a model contradicts."""
    contradicting = [family for family in report.duplicates if len(family.labels) > 1]
    if contradicting:
        yield Finding(
            "problem",
            f"{counted(len(contradicting), 'image')} under more than one label",
            f"The same pixels are labeled {enumeration(contradicting[0].labels)} "
            f"({enumeration(named(contradicting[0].files))}). Keep one of the files.",
            "duplicates",
        )
    same = [family for family in report.duplicates if len(family.labels) == 1]
    if same:
        more = len(same) - 1
        yield Finding(
            "review",
            f"{counted(len(same), 'image')} stored more than once",
            f"Exactly the same pixels are in {enumeration(named(same[0].files))}"
            f"{f', and in {more:,} more such sets' if more else ''}. Copies add no information; "
            "remove all but one.",
            "duplicates",
        )
    check = report.label_check
    if check and check.likely_errors:
        yield Finding(
            "review",
            f"{counted(len(check.likely_errors), 'label')} of {check.images:,} may be wrong",
            "A model that was not trained on these images is confident of another class. Check "
            "them; if a label is wrong, move the file to the correct folder.",
            "labels",
        )
    elif check:
        yield Finding(
            "ok",
            "No likely label errors",
            f"The predictions for {counted(check.images, 'image')} contradict no label.",
            "labels",
        )


def on_feedback(report: DataReport) -> Iterator[Finding]:
    """Yield what the corrections of a web page say."""
    found = report.feedback
    if found is None:
        return
    if found.images:
        agreed = _counts(found.by_class | found.without_class) or "no corrections agree"
        yield Finding(
            "ok",
            f"The feedback corrects {counted(found.images, 'image')}: {agreed}",
            f"The model's verdicts were: {_counts(found.by_verdict)}. To train with them, give "
            "the folder to trainer/train.py --feedback.",
            "feedback",
        )
    if found.contradicting:
        yield Finding(
            "review",
            f"The corrections of {counted(len(found.contradicting), 'image')} contradict",
            "Training leaves them out: " + shortlist(list(found.contradicting), LISTED) + ".",
            "feedback",
        )
    if found.damaged:
        yield Finding(
            "problem",
            f"{counted(len(found.damaged), 'file')} of the feedback can't be used",
            shortlist([f"{bad.file} ({bad.reason})" for bad in found.damaged], LISTED) + ".",
            "feedback",
        )
    if found.next_images:
        files = [each.file for each in found.next_images]
        yield Finding(
            "review",
            f"Look at {files[0]} next",
            "The largest prediction sets, then the highest novelty, one of each piece of surface: "
            + shortlist(files, 2 * LISTED)
            + ".",
            "feedback",
        )


def _counts(images: Mapping[str, int]) -> str:
    """Return the numbers of images by name; nothing if there are none."""
    words = [f"{count:,} {name}" for name, count in images.items()]
    return enumeration(words) if words else ""
