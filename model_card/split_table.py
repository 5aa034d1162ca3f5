"""Compare two reports that differ in the split only."""

from __future__ import annotations

from model_card.formatting import decimals_for, percent, percent_interval
from model_card.schema.base import Score
from model_card.schema.report import Report


def split_table(random: Report, grouped: Report) -> str:
    """Return a Markdown table with the accuracy of one recipe on a random and a grouped split."""
    rows = [
        "| Split | Test images | Of these overlap training | Accuracy | 95 % interval |",
        "| --- | ---: | ---: | ---: | ---: |",
        _row("random", random),
    ]
    if random.unseen_test and not random.cross_validation:
        unseen = random.unseen_test
        rows.append(_cells("– its images without overlap", unseen.images, 0.0, unseen.accuracy))
    return "\n".join([*rows, _row("grouped", grouped)])


def _row(name: str, report: Report) -> str:
    folds = report.cross_validation
    test = folds.all_images if folds else report.test
    leak = report.data.test_leakage
    title = f"{name}, {len(folds.folds)} folds" if folds else name
    return _cells(title, test.images, leak.share if leak else 0.0, test.scores["accuracy"])


def _cells(title: str, images: int, leaking: float, accuracy: Score) -> str:
    decimals = decimals_for(images)
    return (
        f"| {title} | {images:,} | {percent(leaking)} | {percent(accuracy.value, decimals)} "
        f"| {percent_interval(accuracy, decimals)} |"
    )
