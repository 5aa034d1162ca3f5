"""The schema of `data-report.json`, the result of an inspection.

Sizes are (width, height); shares are fractions of 1; gray levels are 0 to 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from model_card.schema.base import Schema
from model_card.schema.run.data import Leakage, SkippedImage
from trainer.data.splits.overlap_groups import SharedSurface
from trainer.errors import ConfigError
from trainer.runtime.files import replaced_whole

DATA_REPORT_FILE = "data-report.json"


class SplitCount(Schema):
    """One split of the data as provided."""

    name: Literal["train", "validation", "test"]
    images: int = Field(ge=0, description="readable ones")
    images_by_class: dict[str, int]


class ConvertedImage(Schema):
    """An image that is not plain 8-bit gray or RGB, and its conversion."""

    file: str
    conversion: str


class GrayLevels(Schema):
    """Statistics of all pixels of a class."""

    mean: float = Field(ge=0, le=255)
    deviation: float = Field(ge=0)
    darkest: int = Field(ge=0, le=255)
    brightest: int = Field(ge=0, le=255)
    histogram: list[float] = Field(description="share of the pixels in bins of equal width")


class SizeCount(Schema):
    """The number of images of a class with a given size."""

    size_px: tuple[int, int]
    images: int = Field(gt=0)


class ClassSchema(Schema):
    """The readable images of one class."""

    label: str
    images: int = Field(ge=0)
    surfaces: int = Field(ge=0, description="separate pieces of surface that they show")
    sizes: list[SizeCount] = Field(description="the most frequent first")
    gray: GrayLevels | None = Field(description="None: no image")


class NamesAlike(Schema):
    """Two classes whose names may mean the same."""

    one: str
    other: str
    difference: str


class Duplicates(Schema):
    """Images of the same pixels, in any file format."""

    files: list[str] = Field(min_length=2)
    labels: list[str] = Field(min_length=1, description="each once")


class Group(Schema):
    """Images that share surface or pixels, directly or in a chain."""

    files: list[str] = Field(min_length=2)
    labels: list[str] = Field(min_length=1, description="each once")


class RandomSplit(Schema):
    """Leakage of a random stratified split: share of test images, over repeated splits."""

    test_share: float = Field(gt=0, lt=1)
    splits: int = Field(gt=0)
    mean: float = Field(ge=0, le=1)
    deviation: float = Field(ge=0)


class LabelError(Schema):
    """An image whose label the model's predictions contradict."""

    file: str
    label: str
    suggestion: str = Field(description="the most probable class")
    label_probability: float = Field(ge=0, le=1)
    suggestion_probability: float = Field(ge=0, le=1)


class LabelCheck(Schema):
    """The labels compared with predictions."""

    images: int = Field(gt=0, description="images that the predictions cover")
    likely_errors: list[LabelError] = Field(description="the least probable labels first")


class NextImage(Schema):
    """A corrected image of which the model was not certain."""

    file: str
    candidates: int = Field(ge=0, description="classes in the prediction set")
    novelty: float = Field(ge=0)


class CorrectionSummary(Schema):
    """The corrections of a web page."""

    folder: str
    corrections: int = Field(ge=0, description="that count")
    images: int = Field(ge=0)
    by_class: dict[str, int] = Field(description="images on whose class all corrections agree")
    without_class: dict[str, int]
    by_verdict: dict[str, int] = Field(description="of the model, when it was corrected")
    contradicting: dict[str, list[str]] = Field(description="what the corrections of an image say")
    next_images: list[NextImage] = Field(
        description="the largest prediction sets, then the highest novelty, one of each surface"
    )
    damaged: list[SkippedImage]


class DataReport(Schema):
    """The result of an inspection."""

    source: str
    images: int = Field(ge=0, description="readable ones")
    splits: list[SplitCount]
    given_splits: bool = Field(description="whether the data have splits of their own")
    unusable: list[SkippedImage] = Field(description="unreadable, too large, or not images")
    converted: list[ConvertedImage]
    bit_depth: int | None = Field(
        description="significant bits of samples of more than 8; None: all have 8"
    )
    depth_mixture: str | None = Field(description="images of different depths; None: all have one")
    layout_problems: list[str] = Field(description="problems that training refuses")
    layout_notes: list[str] = Field(description="how the layout was interpreted")
    names_alike: list[NamesAlike]
    classes: list[ClassSchema]
    duplicates: list[Duplicates]
    pairs: list[SharedSurface] = Field(description="N copies of a picture are N - 1 pairs")
    groups: list[Group] = Field(description="of two images or more, the largest first")
    surfaces: int = Field(ge=0, description="groups, and images that share nothing")
    leakage: list[Leakage]
    random_split: RandomSplit | None = Field(description="None: the data have splits")
    label_check: LabelCheck | None = Field(description="None: no predictions were given")
    feedback: CorrectionSummary | None = Field(default=None, description="None: none was given")

    @property
    def sharing_images(self) -> int:
        """Number of images that share surface with another."""
        return sum(len(group.files) for group in self.groups)

    @property
    def imbalance(self) -> float:
        """Ratio of the largest class to the smallest."""
        counts = [entry.images for entry in self.classes]
        return max(counts) / max(min(counts), 1)

    def write(self, folder: Path) -> None:
        """Write `data-report.json`, whole or not at all."""
        with replaced_whole(folder / DATA_REPORT_FILE) as partial:
            partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def open_output(folder: Path, data_folders: Sequence[Path]) -> None:
    """Create the folder of a report; an older report in it will be replaced.

    Raises:
        ConfigError: it can't be created, is inside the data, or has another web page.
    """
    if any(folder.resolve().is_relative_to(data) for data in data_folders):
        raise ConfigError(
            f"{folder} is inside the data folder, which is never changed. Name another folder "
            "with --output-dir."
        )
    if (folder / "index.html").exists() and not (folder / DATA_REPORT_FILE).exists():
        raise ConfigError(
            f"{folder} has an index.html that is not a data report. Name another folder with "
            "--output-dir."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The folder {folder} can't be created: {error.strerror}. Name another one with "
            "--output-dir."
        ) from error
