"""Localization: agreement of heatmaps with annotated bounding boxes."""

from __future__ import annotations

from pydantic import Field

from model_card.schema.base import Schema, Score


class ClassLocalization(Schema):
    """Heatmaps of one class, on its test images with boxes."""

    label: str
    images: int = Field(gt=0)
    area: float = Field(gt=0, le=1, description="mean share of the image covered by its boxes")
    energy: float = Field(ge=0, le=1, description="mean share of the heatmap inside its boxes")
    energy_lift: float = Field(ge=0, description="ratio of energy to area; 1 is chance")
    pointing: Score = Field(description="share of images with the hottest pixel in a box")
    pointing_lift: float = Field(ge=0, description="ratio of pointing to area; 1 is chance")


class Localization(Schema):
    """Results of all classes; each image counts for its true class and the boxes of that class."""

    method: str
    images: int = Field(gt=0)
    classes: list[ClassLocalization] = Field(min_length=1)
