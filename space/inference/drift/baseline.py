"""What a model knows about healthy images: `baseline.json` of a published folder."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..core.arrays import Floats
from .image_statistics import NAMES

BASELINE_FILE = "baseline.json"
MOST_IMAGES = 100_000
MOST_SEVERITIES = 20
# Of an image statistic; nearly all are logarithms, of which this is 5 %.
LEAST_DEVIATION = 0.05
Finite = Annotated[float, Field(allow_inf_nan=False)]
Row = Annotated[list[Finite], Field(min_length=len(NAMES), max_length=len(NAMES))]
Name = Annotated[str, Field(max_length=100)]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Signature(_Facts):
    """How one corruption shifts the mean statistics of images.

    Attributes:
        name: of the corruption.
        unit: of its severities.
        check: what to check when images look like this.
        severities: the lowest effect first.
        shifts: at each severity, [severity, statistic].
    """

    name: Name
    unit: Name
    check: Name
    severities: list[Finite] = Field(min_length=1, max_length=MOST_SEVERITIES)
    shifts: list[Row]

    @model_validator(mode="after")
    def _same_length(self) -> Signature:
        if len(self.severities) != len(self.shifts):
            raise ValueError("a signature needs a shift for each severity")
        return self


class Spread(_Facts):
    """How the statistics of healthy images vary."""

    mean: Row
    covariance: list[Row] = Field(min_length=len(NAMES), max_length=len(NAMES))

    def whitening(self) -> Floats:
        """Return the matrix after which healthy images vary by 1, [statistic, direction]."""
        # Statistics that hardly vary in healthy images must not decide alone.
        covariance = np.asarray(self.covariance) + LEAST_DEVIATION**2 * np.eye(len(NAMES))
        variances, axes = np.linalg.eigh(covariance)
        matrix: Floats = axes / np.sqrt(np.maximum(variances, LEAST_DEVIATION**2))
        return matrix


class ImageReference(Spread):
    """Statistics of healthy images, see `image_statistics`, and how corruptions shift them.

    Attributes:
        signatures: of each corruption.
        classes: of training images, in the order of the labels; None in folders of earlier
            versions.
        statistics: of each image of the baseline, None if it was not measured; None as a whole
            without `classes`.
    """

    signatures: list[Signature] = Field(max_length=50)
    classes: list[Spread] | None = None
    statistics: list[Row | None] | None = None


class Baseline(_Facts):
    """Healthy images that the network was not trained on: the test images.

    Attributes:
        labels: class names, in the order of the network's outputs.
        predicted: index of each image's most probable class.
        confidence: of each image.
        novelty: of each image, relative to the limit; None if the model has no detector.
        verdicts: number of images by verdict.
        images: None if no statistics were computed.
    """

    labels: list[Name] = Field(min_length=1)
    predicted: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, max_length=MOST_IMAGES)
    confidence: list[Annotated[float, Field(ge=0, le=1)]]
    novelty: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None
    verdicts: dict[Name, Annotated[int, Field(ge=0)]]
    images: ImageReference | None

    @model_validator(mode="after")
    def _agrees(self) -> Baseline:
        count = len(self.predicted)
        if len(self.confidence) != count or len(self.novelty or self.confidence) != count:
            raise ValueError("predicted, confidence and novelty differ in length")
        if sum(self.verdicts.values()) != count:
            raise ValueError("the verdicts don't add up to the images")
        images = self.images
        if images and images.classes is not None and len(images.classes) != len(self.labels):
            raise ValueError("classes and labels differ in length")
        if images and images.statistics is not None and len(images.statistics) != count:
            raise ValueError("predicted and statistics differ in length")
        if any(index >= len(self.labels) for index in self.predicted):
            raise ValueError("an image has a class that the model lacks")
        return self

    def shares(self) -> dict[str, float]:
        """Return the share of each verdict."""
        total = max(1, len(self.predicted))
        return {name: count / total for name, count in self.verdicts.items()}
