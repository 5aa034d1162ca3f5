"""One correction: what the model answered and what a person says, without a word on the person."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

Kind = Literal["class", "several", "none", "unusable"]
MOST_NAME_CHARACTERS = 255
Name = Annotated[str, Field(min_length=1, max_length=MOST_NAME_CHARACTERS)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# What a correction says instead of a class.
KINDS: dict[Kind, str] = {
    "several": "several defects",
    "none": "none of these",
    "unusable": "not usable",
}
MOST_NOTE_CHARACTERS = 500


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answer(_Fields):
    """The model's answer; the fields are those of `Prediction`."""

    label: Name
    confidence: Annotated[float, Field(ge=0, le=1)]
    verdict: Literal["class", "unsure", "unknown"]
    candidates: list[Name]
    novelty: Annotated[float, Field(ge=0)] | None


class Model(_Fields):
    """The model that answered."""

    id: Annotated[str, Field(max_length=255)]
    """The id on the Hub, or the name of the local folder."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None
    """Commit on the Hub; None for a local folder."""
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    """Of its files; see `space.inference.core.fingerprint`."""


class Correction(_Fields):
    """What a person says about an image.

    Attributes:
        thread: the same for all corrections of one image from one visit of the page: the last one
            counts. It is a keyed hash; neither the visit nor its other images follow from it.
        time: when it arrived.
        image: SHA-256 of the stored image file.
        kind: "class", or why no class can be named.
        label: the class, if there is one.
        note: what the person wrote beside it.
    """

    format: Literal[1] = 1
    thread: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    time: AwareDatetime
    image: Sha256
    answer: Answer
    model: Model
    kind: Kind
    label: Name | None = None
    note: Annotated[str, Field(max_length=MOST_NOTE_CHARACTERS)] | None = None

    @model_validator(mode="after")
    def _names_a_class(self) -> Correction:
        if (self.kind == "class") != (self.label is not None):
            raise ValueError("a correction names a class, or says why it can't")
        return self

    @property
    def says(self) -> str:
        """The correction in words."""
        return self.label if self.label is not None else KINDS[self.kind]

    @property
    def order(self) -> tuple[datetime, str]:
        """Key that sorts corrections by time, and always in the same way."""
        return self.time, self.model_dump_json()
