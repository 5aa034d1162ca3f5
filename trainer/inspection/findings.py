"""Turn a data report into findings: the problem, its extent, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from model_card.formatting import counted, enumeration, number, percent, shortlist
from trainer.inputs.shapes import SQUASHED, aspect_ratio
from trainer.inspection.report import DataReport

# With fewer images, a test split of a fifth is too small for a meaningful score.
FEWEST_IMAGES = 50
STRONGEST_IMBALANCE = 5
LISTED = 3


@dataclass(frozen=True)
class Finding:
    """One thing to know about the data.

    Attributes:
        level: "problem": training or its score is wrong; "review": a person should check it.
        title: one line, with the number.
        text: the meaning, and what to do.
        section: of the page with the evidence.
    """

    level: Literal["problem", "review", "ok"]
    title: str
    text: str
    section: str


def list_findings(report: DataReport) -> list[Finding]:
    """Return the findings of a report, problems first."""
    order = ("problem", "review", "ok")
    found = [
        *_on_leakage(report),
        *_on_surfaces(report),
        *_on_labels(report),
        *_on_files(report),
        *_on_classes(report),
        *_on_feedback(report),
    ]
    return sorted(found, key=lambda finding: order.index(finding.level))


def _on_feedback(report: DataReport) -> Iterator[Finding]:
    found = report.feedback
    if found is None:
        return
    counts = (found.by_class | found.without_class, found.by_verdict)
    said, verdicts = (
        enumeration([f"{count:,} {name}" for name, count in named.items()]) for named in counts
    )
    yield Finding(
        "ok",
        f"The feedback corrects {counted(found.images, 'image')}: {said}",
        f"The model's verdicts were: {verdicts}. To train with them, give "
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


def _on_leakage(report: DataReport) -> Iterator[Finding]:
    for leak in report.leakage:
        if leak.images:
            yield Finding(
                "problem",
                f"{percent(leak.share)} of the {leak.split} split overlaps {leak.seen_in}",
                f"{leak.images:,} of {leak.of:,} {leak.split} images show a piece of surface that "
                f"is also in {leak.seen_in}. The score on them measures memory. Train with "
                "--resplit, which splits all images again with no surface on both sides.",
                "leakage",
            )
        else:
            yield Finding(
                "ok",
                f"The {leak.split} split has no leakage",
                f"None of its {leak.of:,} images shows a piece of surface that is also in "
                f"{leak.seen_in}.",
                "leakage",
            )
    split = report.random_split
    if split and split.mean > 0:
        yield Finding(
            "review",
            f"A random split would leak {percent(split.mean)} of its test images",
            f"In a random {100 * (1 - split.test_share):.0f}/{100 * split.test_share:.0f} split, "
            f"{number(split.mean)} ± {percent(split.deviation)} of the test images would show a "
            "surface that is also in training, and the score would be too good. trainer/train.py "
            "avoids that: without --random-split, each piece of surface is on one side only.",
            "leakage",
        )


def _on_surfaces(report: DataReport) -> Iterator[Finding]:
    if not report.pairs:
        yield Finding(
            "ok",
            "No two images show the same surface",
            "Each image was compared with all others: shifted, rotated and mirrored.",
            "pairs",
        )
        return
    turned = sum(pair.turn != 0 for pair in report.pairs)
    poorest = min(report.classes, key=lambda each: (each.surfaces, each.label))
    yield Finding(
        "review",
        f"{percent(report.sharing_images / report.images)} of the images share surface with "
        "another",
        f"{counted(report.sharing_images, 'image')} of {report.images:,} overlap in "
        f"{counted(len(report.pairs), 'pair')}"
        f"{f', {turned:,} of them rotated or mirrored' if turned else ''}. "
        f"All images show {counted(report.surfaces, 'separate piece')} of surface; the most "
        "photographed is in "
        f"{counted(len(report.groups[0].files), 'image')}. Count pieces, not images, to estimate "
        f"the size of the dataset: {poorest.label} has {poorest.surfaces:,} in "
        f"{counted(poorest.images, 'image')}.",
        "pairs",
    )
    across = sum(pair.label_a != pair.label_b for pair in report.pairs)
    if across:
        yield Finding(
            "review",
            f"{counted(across, 'pair')} of the same surface under two classes",
            "Both labels may be correct if a piece of surface shows two defects. Check that each "
            "image shows the defect of its label.",
            "pairs",
        )


def _on_labels(report: DataReport) -> Iterator[Finding]:
    contradicting = [family for family in report.duplicates if len(family.labels) > 1]
    if contradicting:
        yield Finding(
            "problem",
            f"{counted(len(contradicting), 'image')} under more than one label",
            f"The same pixels are labeled {enumeration(contradicting[0].labels)} "
            f"({enumeration(_named(contradicting[0].files))}). Keep one of the files.",
            "duplicates",
        )
    same = [family for family in report.duplicates if len(family.labels) == 1]
    if same:
        more = len(same) - 1
        yield Finding(
            "review",
            f"{counted(len(same), 'image')} stored more than once",
            f"Exactly the same pixels are in {enumeration(_named(same[0].files))}"
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


def _on_files(report: DataReport) -> Iterator[Finding]:
    for problem in report.layout_problems:
        yield Finding("problem", "Training refuses this folder", problem, "files")
    for note in report.layout_notes:
        yield Finding("review", "How the folder was read", note, "files")
    if report.unusable:
        named = _named([entry.file for entry in report.unusable])
        yield Finding(
            "problem",
            f"{counted(len(report.unusable), 'file')} can’t be used",
            f"{enumeration(named)}. Fix or remove them, or "
            "train with --skip-bad-images, which leaves them out.",
            "files",
        )
    else:
        yield Finding(
            "ok",
            f"All {report.images:,} files are readable images",
            "Each was decoded completely.",
            "files",
        )
    if report.depth_mixture:
        yield Finding("problem", "Images of different bit depths", report.depth_mixture, "files")
    elif report.bit_depth:
        yield Finding(
            "ok",
            f"Samples of {report.bit_depth} bits are scaled to 8",
            f"No sample of the images of more than 8 bits needs more than {report.bit_depth}. "
            "The published model stores that and reads later images in the same way.",
            "files",
        )
    if report.converted:
        yield Finding(
            "review",
            f"{counted(len(report.converted), 'image')} in an unusual format",
            "Training and the published model convert them in the same way, so this is no error, "
            "but the images may have different sources.",
            "files",
        )


def _named(files: list[str]) -> list[str]:
    """Return the first names, and the number of the others."""
    more = len(files) - LISTED
    return files[:LISTED] + ([f"{more:,} more"] if more > 0 else [])


def _on_classes(report: DataReport) -> Iterator[Finding]:
    for alike in report.names_alike:
        yield Finding(
            "problem" if alike.difference == "upper and lower case" else "review",
            f"{alike.one} and {alike.other} may be one class",
            f"The names differ only by {alike.difference}. If they mean the same, merge the "
            "folders; otherwise the model learns to separate them.",
            "classes",
        )
    few = [
        f"{each.label} ({each.images})" for each in report.classes if each.images < FEWEST_IMAGES
    ]
    if few:
        yield Finding(
            "review",
            f"{counted(len(few), 'class', 'classes')} of fewer than {FEWEST_IMAGES} images",
            f"{shortlist(few, 12)}. A score on few test images is not reliable; add images.",
            "classes",
        )
    if report.imbalance >= STRONGEST_IMBALANCE:
        yield Finding(
            "review",
            f"The largest class is {report.imbalance:.1f} times the smallest",
            "The model will prefer the large class. Add images to the small one, or train "
            "with --class-weights balanced, and read the scores by class.",
            "classes",
        )
    elif not few and len(report.classes) > 1:
        yield Finding(
            "ok",
            f"{counted(len(report.classes), 'class', 'classes')} of similar size",
            "All have the same number of images."
            if report.imbalance == 1
            else f"The largest has {report.imbalance:.1f} times the images of the smallest.",
            "classes",
        )
    yield from _on_shapes(report)
    for label, width, height in _identified_by_size(report):
        yield Finding(
            "review",
            f"Size alone identifies {label}",
            f"All its images are {width} × {height} pixels, and no others are. A model can learn "
            "the size instead of the defect; crop the images of all classes to one size.",
            "classes",
        )


def _on_shapes(report: DataReport) -> Iterator[Finding]:
    sizes = [size for each in report.classes for size in each.sizes]
    long = [size for size in sizes if aspect_ratio(size.size_px) >= SQUASHED]
    if not long:
        return
    longest = max(long, key=lambda size: aspect_ratio(size.size_px))
    images, ratio = sum(size.images for size in long), aspect_ratio(longest.size_px)
    width, height = longest.size_px
    yield Finding(
        "review",
        f"{counted(images, 'image')} of {report.images:,} "
        f"{'is' if images == 1 else 'are'} squashed, up to {ratio:.1f}:1",
        f"Training scales each image to a square. One of {width} × {height} pixels is squeezed to "
        f"{percent(1 / ratio)} of its length, so a thin line across it disappears. Use --tile, "
        "which cuts long images into squares and combines the outputs of all squares of an image.",
        "classes",
    )


def _identified_by_size(report: DataReport) -> Iterator[tuple[str, int, int]]:
    """Yield the classes whose images all have one size that no other class has."""
    for each in report.classes:
        others = {s.size_px for e in report.classes if e is not each for s in e.sizes}
        if len(each.sizes) == 1 and others and each.sizes[0].size_px not in others:
            yield each.label, *each.sizes[0].size_px
