"""What a published folder holds beside the model: test result, figures, example images.

All of it is optional: a timm model that somebody else published may come without.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

logger = logging.getLogger(__name__)

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
MAX_EXAMPLES = 12
BUNDLED_EXAMPLES = Path(__file__).parent / "examples"


class Score(BaseModel):
    """A measured value with its 95 % interval, all as fractions of 1."""

    value: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class Scores(BaseModel):
    """The measures of all classes together."""

    accuracy: Score
    error_rate: Score
    sensitivity: Score
    specificity: Score
    precision: Score
    f1: Score
    auc: Score


class TestResult(BaseModel):
    """Scores on images that the model had never seen."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    images: int = Field(gt=0)
    scores: Scores


class Data(BaseModel):
    """Where the images came from."""

    kind: Literal["folder", "hub", "drawn"]


class FigureText(BaseModel):
    """Title and description of one figure."""

    file: str
    title: str
    alt: str


class Report(BaseModel):
    """The part of `report.json` that the page shows."""

    data: Data
    test: TestResult
    figures: list[FigureText]


@dataclass(frozen=True)
class Figure:
    """A picture for the page, with what to say about it."""

    path: Path
    title: str
    alt: str


@dataclass(frozen=True)
class Examples:
    """Images to try the model with; the name of each file says what it shows."""

    files: list[Path]
    origin: str


def read_report(folder: Path) -> Report | None:
    """Return the report of a published folder, or None if it has none that can be read."""
    path = folder / "report.json"
    if not path.is_file():
        return None
    try:
        return Report.model_validate_json(path.read_bytes())
    except ValidationError as error:
        logger.warning("Test results are not shown, because %s can't be read: %s", path, error)
        return None


def find_figures(folder: Path, report: Report | None) -> list[Figure]:
    """Return the figures of a published folder, first those of the report, in its order."""
    texts = {text.file: text for text in report.figures} if report else {}
    # What is shown comes from the folder's listing: a name in the report could lead anywhere.
    files = {f"figures/{path.name}": path for path in _pictures(folder / "figures")}
    figures = [
        Figure(files.pop(name), text.title, text.alt)
        for name, text in texts.items()
        if name in files
    ]
    for path in files.values():
        title = path.stem.replace("_", " ").capitalize()
        figures.append(Figure(path, title, title))
    return figures


def find_examples(folder: Path, labels: list[str], report: Report | None) -> Examples:
    """Return the model's own example images, else the bundled drawings of its classes."""
    own = _pictures(folder / "examples")
    if not own:
        bundled = [path for path in _pictures(BUNDLED_EXAMPLES) if path.stem in labels]
        return Examples(bundled, "drawn, not photographed")
    if report is None:
        return Examples(own[:MAX_EXAMPLES], "published with the model")
    drawn = ", drawn by a program" if report.data.kind == "drawn" else ""
    return Examples(own[:MAX_EXAMPLES], f"from the test images{drawn}")


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures in a folder by name; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.is_file()
    )
