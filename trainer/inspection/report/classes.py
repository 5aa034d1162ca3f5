"""Findings on classes: names, number and size of their images."""

from __future__ import annotations

from collections.abc import Iterator

from model_card.formatting import counted, percent, shortlist
from trainer.inputs.shapes import SQUASHED, aspect_ratio
from trainer.inspection.report.finding import Finding
from trainer.inspection.report.schema import DataReport

# With fewer images, a test split of a fifth is too small for a meaningful score.
FEWEST_IMAGES = 50
# One to train on, one to test on.
FEWEST_PIECES = 2
STRONGEST_IMBALANCE = 5


def on_classes(report: DataReport) -> Iterator[Finding]:
    """Yield what is uneven between the classes: names, numbers, sizes of images."""
    for alike in report.names_alike:
        yield Finding(
            "problem" if alike.difference == "upper and lower case" else "review",
            f"{alike.one} and {alike.other} may be one class",
            f"The names differ only by {alike.difference}. If they mean the same, merge the "
            "folders; otherwise the model learns to separate them.",
            "classes",
        )
    single = [
        f"{each.label} ({counted(each.images, 'image')})"
        for each in report.classes
        if each.images and each.surfaces < FEWEST_PIECES
    ]
    if single and not report.given_splits:
        yield Finding(
            "problem",
            f"{counted(len(single), 'class', 'classes')} of a single piece of surface",
            f"{shortlist(single, 12)}. Training refuses that: each class needs two separate "
            "pieces, one to train on and one to test on. Add images of other pieces, or leave the "
            "class out.",
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
