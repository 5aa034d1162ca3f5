"""What was found in a collection of images, as `data-report.json` holds it and the page shows it.

Sizes are (width, height); shares are fractions of 1; grey levels go from 0 to 255.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from model_card.schema.report import Leakage, Schema, SkippedImage
from trainer.data.splits.overlap_groups import SharedSurface
from trainer.errors import ConfigError
from trainer.runtime.files import replaced_whole

DATA_REPORT_FILE = "data-report.json"


class Part(Schema):
    """One part of the data, as they came."""

    name: Literal["train", "validation", "test"]
    images: int = Field(ge=0, description="readable ones")
    images_by_class: dict[str, int]


class ConvertedImage(Schema):
    """An image that is not plain 8-bit grey or RGB, and what is done with it."""

    file: str
    conversion: str


class GreyLevels(Schema):
    """Statistics of all pixels of a class."""

    mean: float = Field(ge=0, le=255)
    deviation: float = Field(ge=0)
    darkest: int = Field(ge=0, le=255)
    brightest: int = Field(ge=0, le=255)
    histogram: list[float] = Field(description="share of the pixels in bins of equal width")


class SizeCount(Schema):
    """How many images of a class have a size."""

    size_px: tuple[int, int]
    images: int = Field(gt=0)


class ClassSchema(Schema):
    """The readable images of one class."""

    label: str
    images: int = Field(ge=0)
    surfaces: int = Field(ge=0, description="separate pieces of surface that they show")
    sizes: list[SizeCount] = Field(description="the most frequent first")
    grey: GreyLevels | None = Field(description="None: no image")


class NamesAlike(Schema):
    """Two classes whose names may mean the same."""

    one: str
    other: str
    difference: str


class Duplicates(Schema):
    """Images of the same pixels, in whatever file format."""

    files: list[str] = Field(min_length=2)
    labels: list[str] = Field(min_length=1, description="each once")


class Group(Schema):
    """Images that share surface or are the same, directly or in a chain."""

    files: list[str] = Field(min_length=2)
    labels: list[str] = Field(min_length=1, description="each once")


class RandomSplit(Schema):
    """What a random stratified split would leak: share of test images, over repeated splits."""

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
    """What predictions say about the labels."""

    images: int = Field(gt=0, description="images that the predictions cover")
    likely_errors: list[LabelError] = Field(description="the least probable labels first")


class DataReport(Schema):
    """All that was found."""

    source: str
    images: int = Field(ge=0, description="readable ones")
    parts: list[Part]
    given_parts: bool = Field(description="whether the data came divided")
    unusable: list[SkippedImage] = Field(description="unreadable, oversize, or no images")
    converted: list[ConvertedImage]
    bit_depth: int | None = Field(
        description="significant bits of samples of more than 8; None: all have 8"
    )
    depth_mixture: str | None = Field(
        description="images of different depths; None: there are none"
    )
    layout_problems: list[str] = Field(description="what training would refuse")
    layout_notes: list[str] = Field(description="how the layout was understood")
    names_alike: list[NamesAlike]
    classes: list[ClassSchema]
    duplicates: list[Duplicates]
    pairs: list[SharedSurface] = Field(description="N copies of a picture are N - 1 pairs")
    groups: list[Group] = Field(description="of two images or more, the largest first")
    surfaces: int = Field(ge=0, description="groups, and images that share nothing")
    leakage: list[Leakage]
    random_split: RandomSplit | None = Field(description="None: the data came divided")
    label_check: LabelCheck | None = Field(description="None: no predictions were given")

    @property
    def sharing_images(self) -> int:
        """How many images share surface with another."""
        return sum(len(group.files) for group in self.groups)

    @property
    def imbalance(self) -> float:
        """How many times as many images the largest class has as the smallest."""
        counts = [entry.images for entry in self.classes]
        return max(counts) / max(min(counts), 1)

    def write(self, folder: Path) -> None:
        """Write `data-report.json`, whole or not at all."""
        with replaced_whole(folder / DATA_REPORT_FILE) as partial:
            partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def open_output(folder: Path, data_folder: Path | None) -> None:
    """Make the folder of a report; an older report in it will be replaced.

    Raises:
        ConfigError: it can't be made, lies among the data, or holds somebody's web page.
    """
    if data_folder and folder.resolve().is_relative_to(data_folder):
        raise ConfigError(
            f"{folder} lies inside the data folder, which is left as it is. Name another folder "
            "with --output-dir."
        )
    if (folder / "index.html").exists() and not (folder / DATA_REPORT_FILE).exists():
        raise ConfigError(
            f"{folder} holds an index.html that is no data report. Name another folder with "
            "--output-dir."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The folder {folder} can't be made: {error.strerror}. Name another one with "
            "--output-dir."
        ) from error
