"""The optional files of a published folder: test results, figures, example images.

A timm model published with other tools may have none of them.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

# In a Space on the Hub this folder is the root, and its modules are siblings.
if TYPE_CHECKING or __package__:
    from space.inference.core.errors import ModelError
    from space.inference.migration import EARLIER_METRICS
    from space.inference.model_folder import ModelFolder
else:
    from inference.core.errors import ModelError
    from inference.migration import EARLIER_METRICS
    from inference.model_folder import ModelFolder

logger = logging.getLogger(__name__)

REPORT_FILE = "report.json"
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
MAX_EXAMPLES = 12
MAX_FIGURES = 40
MAX_METRICS = 100
Words = Annotated[str, Field(max_length=2000)]
Share = Annotated[float, Field(ge=0, le=1)]
BUNDLED_EXAMPLES = Path(__file__).parent / "examples"


class Score(BaseModel):
    """A measured value with its 95 % interval, all as fractions of 1."""

    value: Share
    low: Share
    high: Share


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


class TestResult(BaseModel):
    """Scores on images that were not used for training."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    images: int = Field(gt=0)
    scores: dict[Words, Score] = Field(max_length=MAX_METRICS)

    @property
    def accuracy(self) -> Score | None:
        """Share of images classified correctly, if it was measured."""
        return self.scores.get("accuracy")


class Data(BaseModel):
    """The source of the images."""

    kind: Words


class Agreement(BaseModel):
    """How well confidence agrees with accuracy."""

    ece: float = Field(ge=0, le=1, description="expected calibration error")
    ece_by_chance: float = Field(ge=0, le=1, description="of perfect calibration, same sample size")


class Calibration(BaseModel):
    """Agreement on the test images before and after temperature scaling."""

    before: Agreement
    after: Agreement

    @property
    def holds(self) -> bool:
        """Whether the confidence is calibrated, as far as the test images show."""
        after = self.after
        return after.ece <= self.before.ece and after.ece <= max(0.02, 2 * after.ece_by_chance)


class Reliability(BaseModel):
    """Reliability of the confidence."""

    calibration: Calibration


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
    figures: list[FigureText]

    @property
    def measured(self) -> list[tuple[Metric, Score]]:
        """The metrics that have a score, in order."""
        scores = self.test.scores
        return [(each, scores[each.name]) for each in self.metrics if each.name in scores]

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
