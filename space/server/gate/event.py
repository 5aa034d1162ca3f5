"""What a client of Gradio may send about an event."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..inputs import Click

Text = Annotated[str, Field(max_length=255)]
Session = Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]


class Event(BaseModel):
    """The validated fields of a request for an event."""

    model_config = ConfigDict(strict=True, extra="ignore")

    data: Annotated[list[Any], Field(max_length=8)]
    fn_index: int | None = None
    session_hash: Session | None = None
    trigger_id: int | None = None
    event_data: Click | None = None

    @field_validator("event_data", mode="before")
    @classmethod
    def _not_empty(cls, given: object) -> object:
        """Take an event without facts as one without `event_data`."""
        return given or None


class Ending(BaseModel):
    """The validated fields of a request to cancel or reset an event."""

    model_config = ConfigDict(strict=True, extra="ignore")

    session_hash: Session | None = None
    fn_index: int | None = None
    event_id: Text | None = None
