"""Findings on pieces of surface: which images share one, and on which side of a split."""

from __future__ import annotations

from collections.abc import Iterator

from model_card.formatting import counted, number, percent
from trainer.inspection.report.finding import Finding
from trainer.inspection.report.schema import DataReport


def on_leakage(report: DataReport) -> Iterator[Finding]:
    """Yield what each split shares with training, and what a random split would."""
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


def on_surfaces(report: DataReport) -> Iterator[Finding]:
    """Yield how many pieces of surface the images show."""
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
