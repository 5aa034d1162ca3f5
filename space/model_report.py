"""The optional files of a published folder: test results, figures, example images.

A timm model published with other tools may have none of them.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

# In a Space on the Hub this folder is the root, and its modules are siblings.
if TYPE_CHECKING or __package__:
    from space.inference.core.errors import ModelError
    from space.inference.migration import EARLIER_METRICS
    from space.inference.model_folder import ModelFolder
    from space.report_schema import (
        MAX_METRICS,
        Calibration,
        Reliability,
        Score,
        SeveralDefects,
        TestResult,
        Words,
    )
else:
    from inference.core.errors import ModelError
    from inference.migration import EARLIER_METRICS
    from inference.model_folder import ModelFolder
    from report_schema import (
        MAX_METRICS,
        Calibration,
        Reliability,
        Score,
        SeveralDefects,
        TestResult,
        Words,
    )

logger = logging.getLogger(__name__)

REPORT_FILE = "report.json"
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
MAX_EXAMPLES = 12
MAX_FIGURES = 40
# Of one class; the others say the same or little of it.
CLASS_METRICS = ("sensitivity", "precision", "f1")
BUNDLED_EXAMPLES = Path(__file__).parent / "examples"


class Metric(BaseModel):
    """How a score is named and written."""

    name: Words
    title: Words
    meaning: Words
    percent: bool


def _earlier_metrics() -> list[Metric]:
    """Return the metrics of a report that does not describe them."""
    return [
        Metric(name=name, title=title, meaning=meaning, percent=percent)
        for name, title, meaning, percent in EARLIER_METRICS
    ]


class Leakage(BaseModel):
    """Images of a split that show a piece of surface of training."""

    split: Words
    images: int = Field(ge=0)


class Surfaces(BaseModel):
    """Which images show the same piece of surface."""

    leakage: list[Leakage] = Field(default=[], max_length=MAX_METRICS)


class Data(BaseModel):
    """The source of the images."""

    kind: Words
    surfaces: Surfaces | None = None

    @property
    def leaking(self) -> int:
        """Number of test images that show a piece of surface of training."""
        found = self.surfaces.leakage if self.surfaces else []
        return sum(each.images for each in found if each.split == "test")


class UnseenTest(BaseModel):
    """Accuracy on the other test images."""

    images: int = Field(gt=0)
    accuracy: Score


class FigureText(BaseModel):
    """Title and description of one figure."""

    file: Words
    title: Words
    alt: Words


class Network(BaseModel):
    """The network."""

    architecture: Words


class Machine(BaseModel):
    """When and where it was trained."""

    started: datetime


class Report(BaseModel):
    """The fields of `report.json` that the page shows."""

    model: Network | None = None
    data: Data
    machine: Machine | None = None
    test: TestResult
    metrics: list[Metric] = Field(default_factory=_earlier_metrics, max_length=MAX_METRICS)
    reliability: Reliability | None = None
    several_defects: SeveralDefects | None = None
    unseen_test: UnseenTest | None = None
    figures: list[FigureText]

    @property
    def measured(self) -> list[tuple[Metric, Score]]:
        """The metrics that have a score, in order."""
        scores = self.test.scores
        return [(each, scores[each.name]) for each in self.metrics if each.name in scores]

    @property
    def calibration(self) -> Calibration | None:
        """How well the confidence agrees with the test images, if it was measured."""
        measured = self.reliability or self.several_defects
        return measured.calibration if measured else None

    @property
    def shown_of_classes(self) -> list[Metric]:
        """The metrics of the table of classes, as far as the report has them."""
        return [each for each in self.metrics if each.name in CLASS_METRICS]

    @property
    def drawn(self) -> bool:
        """Whether the model was trained on drawings, not on photographs."""
        return self.data.kind == "drawn"


@dataclass(frozen=True)
class Figure:
    """A picture for the page, with its title and description."""

    path: Path
    title: str
    alt: str


@dataclass(frozen=True)
class Examples:
    """Images to try the model with; the name of each file is its class.

    Attributes:
        files: paths of the images.
        origin: source of the images.
        own: whether they are the model's own, not the bundled drawings.
    """

    files: list[Path]
    origin: str
    own: bool = True


def read_report(folder: Path) -> Report | None:
    """Return the report of a published folder, or None if it has none that can be read."""
    files = ModelFolder(folder)
    if not files.has(REPORT_FILE):
        return None
    try:
        return files.read_json(REPORT_FILE, Report)
    except ModelError as error:
        logger.warning("Test results are not shown: %s", error)
        return None


def find_figures(folder: Path, report: Report | None) -> list[Figure]:
    """Return the figures of a published folder, first those of the report, in its order."""
    texts = {text.file: text for text in report.figures} if report else {}
    # Only listed files are shown: a path in the report could point anywhere.
    files = {f"figures/{path.name}": path for path in _pictures(folder, "figures")}
    figures = [
        Figure(files.pop(name), text.title, text.alt)
        for name, text in texts.items()
        if name in files
    ]
    for path in files.values():
        title = path.stem.replace("_", " ").capitalize()
        figures.append(Figure(path, title, title))
    return figures[:MAX_FIGURES]


def find_examples(folder: Path, labels: list[str], report: Report | None) -> Examples:
    """Return the model's own example images, else the bundled drawings of its classes."""
    own = _pictures(folder, "examples")
    if not own:
        bundled = [path for path in sorted(BUNDLED_EXAMPLES.glob("*.png")) if path.stem in labels]
        return Examples(bundled, "drawn, not photographed", own=False)
    if report is None:
        return Examples(own[:MAX_EXAMPLES], "published with the model")
    drawn = ", drawn by a program" if report.drawn else ""
    return Examples(own[:MAX_EXAMPLES], f"from the test images{drawn}")


def class_of(example: Path, labels: list[str]) -> str | None:
    """Return the class that an example image is named after; None if that is not certain.

    Characters that some file systems refuse are `_` in its name.
    """
    if example.stem in labels:
        return example.stem
    like = [label for label in labels if re.sub(r"[^\w\- ]", "_", label) == example.stem]
    return like[0] if len(like) == 1 else None


def _pictures(folder: Path, inside: str) -> list[Path]:
    """Return the pictures in a subfolder of the published folder, without links out of it.

    Paths are those of the listing, not of the targets of links.
    """
    names, refused = ModelFolder(folder).files(inside, PICTURES)
    if refused:
        logger.warning("Not shown, because it is not a file of the model's folder: %s", refused)
    return [folder / name for name in names]
