"""Whether a model looks at the defect: the facts of its heatmaps against marked boxes."""

from __future__ import annotations

from pydantic import Field

from model_card.schema.base import Schema, Score


class ClassLocalization(Schema):
    """Heatmaps of one class, on its test images that have boxes."""

    label: str
    images: int = Field(gt=0)
    area: float = Field(gt=0, le=1, description="mean share of the image that its boxes cover")
    energy: float = Field(ge=0, le=1, description="mean share of the heatmap that lies in boxes")
    energy_lift: float = Field(ge=0, description="energy by area; 1 is chance")
    pointing: Score = Field(description="share of images whose hottest pixel lies in a box")
    pointing_lift: float = Field(ge=0, description="pointing by area; 1 is chance")


class Localization(Schema):
    """All of it; each image counts for its true class and the boxes of that class."""

    method: str
    images: int = Field(gt=0)
    classes: list[ClassLocalization] = Field(min_length=1)
