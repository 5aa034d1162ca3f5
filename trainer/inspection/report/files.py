"""Findings on files: layout, damage, bit depth, format."""

from __future__ import annotations

from collections.abc import Iterator

from model_card.formatting import counted, enumeration
from trainer.inspection.report.finding import Finding, named
from trainer.inspection.report.schema import DataReport


def on_files(report: DataReport) -> Iterator[Finding]:
    """Yield how the folder was read, and which files can't be."""
    for problem in report.layout_problems:
        yield Finding("problem", "Training refuses this folder", problem, "files")
    for note in report.layout_notes:
        yield Finding(
            "review",
            note.removesuffix("."),
            "That is how the layout was understood. Check that you meant it so.",
            "files",
        )
    if report.unusable:
        files = named([entry.file for entry in report.unusable])
        yield Finding(
            "problem",
            f"{counted(len(report.unusable), 'file')} can’t be used",
            f"{enumeration(files)}. Fix or remove them, or "
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
