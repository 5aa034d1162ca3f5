"""Write the report as one self-contained web page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset
from PIL import Image

from trainer.data.images.decoding import open_image
from trainer.data.splits.overlap_groups import SharedSurface
from trainer.inspection import pictures
from trainer.inspection.pictures import PairOfPictures
from trainer.inspection.report.listing import list_findings
from trainer.inspection.report.schema import DATA_REPORT_FILE, DataReport
from trainer.runtime.files import replaced_whole
from trainer.text.web_page import environment

PAGE_FILE = "index.html"
WORST_PAIRS, WEAKEST_PAIRS, SHOWN_LABEL_ERRORS = 18, 6, 24
LISTED_ROWS, LISTED_COPIES = 500, 10
SMALLEST_MOSAIC = 3
_HISTOGRAM_SIZE = (160, 40)


@dataclass(frozen=True)
class Photographs:
    """The readable images, by name."""

    images: Dataset
    rows: dict[str, int]
    splits: dict[str, str]

    def open(self, file: str) -> Image.Image:
        """Decode an image."""
        return open_image(self.images[self.rows[file]])

    def size_px(self, file: str) -> tuple[int, int]:
        """Return its (width, height)."""
        width, height = self.images[self.rows[file]]["size_px"]
        return width, height

    def show(self, pair: SharedSurface, *, with_texture: bool) -> PairOfPictures:
        """Return both images of a pair."""
        a, b = self.open(pair.file_a), self.open(pair.file_b)
        return pictures.show_pair(pair, a, b, with_texture=with_texture)


def write(report: DataReport, images: Dataset, folder: Path) -> Path:
    """Write index.html, whole or not at all; return its path.

    Args:
        report: the result of the inspection.
        images: all readable images, in the order of the report's splits.
        folder: of the page.
    """
    files = images["file"][:]
    splits = [split.name for split in report.splits for _ in range(split.images)]
    photographs = Photographs(
        images,
        {file: row for row, file in enumerate(files)},
        dict(zip(files, splits, strict=True)),
    )
    html = (
        environment("trainer.inspection")
        .get_template("page.html.jinja")
        .render(**_contents(report, photographs))
    )
    with replaced_whole(folder / PAGE_FILE) as partial:
        partial.write_text(html, encoding="utf-8", newline="\n")
    return folder / PAGE_FILE


def _contents(report: DataReport, photographs: Photographs) -> dict[str, object]:
    """Return the variables of the template."""
    ranked = sorted(report.pairs, key=lambda pair: _badness(pair, photographs.splits), reverse=True)
    worst = _varied(ranked, WORST_PAIRS)
    rest = [pair for pair in report.pairs if pair not in worst]
    weakest = _varied(sorted(rest, key=lambda pair: pair.similarity), WEAKEST_PAIRS)
    errors = report.label_check.likely_errors[:SHOWN_LABEL_ERRORS] if report.label_check else []
    return {
        "report": report,
        "findings": list_findings(report),
        "splits": photographs.splits,
        "worst": [photographs.show(pair, with_texture=False) for pair in worst],
        "weakest": [photographs.show(pair, with_texture=True) for pair in weakest],
        "ranked": ranked[:LISTED_ROWS],
        "mosaic": _largest_piece(report, photographs),
        "group_sizes": _group_sizes(report),
        "label_errors": [
            (error, pictures.data_url(photographs.open(error.file))) for error in errors
        ],
        "duplicate_pictures": [
            pictures.data_url(photographs.open(family.files[0]))
            for family in report.duplicates[:SHOWN_LABEL_ERRORS]
        ],
        "histograms": {
            each.label: pictures.histogram_path(each.gray.histogram, *_HISTOGRAM_SIZE)
            for each in report.classes
            if each.gray
        },
        "listed_rows": LISTED_ROWS,
        "listed_copies": LISTED_COPIES,
        "data_report_file": DATA_REPORT_FILE,
    }


def _largest_piece(report: DataReport, photographs: Photographs) -> str | None:
    """Return a picture of the largest group; None if there is no group."""
    if not report.groups or len(report.groups[0].files) < SMALLEST_MOSAIC:
        return None
    largest = report.groups[0]
    sizes_px = {file: photographs.size_px(file) for file in largest.files}
    canvas = pictures.mosaic(largest, report.pairs, sizes_px, photographs.open)
    return pictures.data_url(canvas, pictures.LONGEST_MOSAIC_PX)


def _badness(pair: SharedSurface, splits: dict[str, str]) -> tuple[bool, bool, float]:
    """Rank pairs across splits first, then across classes, then by shared area."""
    across_splits = splits[pair.file_a] != splits[pair.file_b]
    return across_splits, pair.label_a != pair.label_b, pair.shared_area


def _varied(pairs: list[SharedSurface], most: int) -> list[SharedSurface]:
    """Return the first pairs, without those whose images are both shown already."""
    chosen: list[SharedSurface] = []
    seen: set[str] = set()
    for pair in pairs:
        if len(chosen) < most and not {pair.file_a, pair.file_b} <= seen:
            chosen.append(pair)
            seen |= {pair.file_a, pair.file_b}
    return chosen


def _group_sizes(report: DataReport) -> list[tuple[str, int, int]]:
    """Return (size in words, groups, images) for ranges of group sizes."""
    sizes = Counter(len(group.files) for group in report.groups)
    sizes[1] = report.images - report.sharing_images
    ranges = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (21, 50), (51, max(sizes)))
    rows = []
    for low, high in ranges:
        inside = {size: groups for size, groups in sizes.items() if low <= size <= high}
        if sum(inside.values()):
            words = f"{low}" if low == high else f"{low}–{high}"
            images = sum(size * groups for size, groups in inside.items())
            rows.append((words, sum(inside.values()), images))
    return rows
