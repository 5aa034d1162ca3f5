"""Summarize the corrections of a web page: by class and verdict, and what to look at next."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from trainer.data.corrected_images import CorrectedImage, as_rows, read_feedback, without_class
from trainer.data.splits.overlap_groups import find_surfaces
from trainer.inspection.report.schema import CorrectionSummary, NextImage

MOST_NEXT = 20
ANY_CLASS = "any"
FULL_DEPTH = 16


def summarize(folder: Path, cache_dir: Path | None) -> CorrectionSummary:
    """Return what a folder of corrections holds.

    Raises:
        DataError: it is no such folder, or is empty.
    """
    feedback = read_feedback(folder)
    images = feedback.images
    verdicts = Counter(image.corrections[-1].answer.verdict for image in images)
    labels = Counter(image.label for image in images if image.label is not None)
    return CorrectionSummary(
        folder=str(folder),
        corrections=feedback.corrections,
        images=len(images),
        by_class=dict(sorted(labels.items())),
        without_class=without_class(images),
        by_verdict=dict(sorted(verdicts.items())),
        contradicting={image.file: image.said for image in images if not image.agrees},
        next_images=_next(images, cache_dir),
        damaged=feedback.damaged,
    )


def _next(images: list[CorrectedImage], cache_dir: Path | None) -> list[NextImage]:
    """Return the images of which the model was least certain, one of each piece of surface."""
    rows, _ = as_rows([(image, ANY_CLASS) for image in images], [ANY_CLASS], FULL_DEPTH)
    groups = find_surfaces(rows, cache_dir).groups if len(rows) else {}
    readable = [image for image in images if image.file in groups]

    def doubt(image: CorrectedImage) -> tuple[int, float]:
        answer = image.corrections[-1].answer
        return len(answer.candidates), answer.novelty or 0.0

    found: dict[int, NextImage] = {}
    for image in sorted(readable, key=doubt, reverse=True):
        candidates, novelty = doubt(image)
        entry = NextImage(file=image.file, candidates=candidates, novelty=novelty)
        found.setdefault(groups[image.file], entry)
    return list(found.values())[:MOST_NEXT]
