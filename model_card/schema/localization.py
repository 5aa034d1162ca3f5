"""Results against annotated bounding boxes: heatmaps, and mistakes."""

from __future__ import annotations

from pydantic import Field, model_validator

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


class BoxedMistakes(Schema):
    """Mistakes on the test images with boxes, by whether the named defect is marked there."""

    images: int = Field(gt=0, description="test images with boxes")
    several: int = Field(ge=0, description="of these, images with defects of several classes")
    mistakes: int = Field(ge=0, description="wrong predictions")
    present: int = Field(ge=0, description="of these, predictions of a class whose box is there")

    @model_validator(mode="after")
    def _adds_up(self) -> BoxedMistakes:
        if not (self.present <= self.mistakes <= self.images and self.several <= self.images):
            raise ValueError("mistakes on images with boxes contradict each other")
        return self
