"""Base classes of the report: frozen, complete and finite values."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Schema(BaseModel):
    """Base of every object in the report: frozen, complete, finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Score(Schema):
    """A measured value with its 95 % interval, all as fractions of 1."""

    value: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _interval_holds_value(self) -> Score:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} is outside its interval {self.low}–{self.high}")
        return self
