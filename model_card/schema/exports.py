"""Passports of exported files: what each one computed for the test images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from model_card.schema.base import Schema, Score


class FormatPassport(Schema):
    """Results of one file format on the whole test split, next to those of the weights."""

    format: str = Field(description="safetensors, onnx, openvino or int8")
    title: str
    files: list[str] = Field(description="as published; none if the format was refused")
    size_bytes: int = Field(gt=0)
    engine: str = Field(description="library, version and precision")
    precision: Literal["f32", "mixed", "bf16"] | None = Field(
        None,
        description="precision that the file asks for; mixed: bf16, with its first layers in "
        "float32; None: written by an earlier version",
    )
    images: int = Field(gt=0, description="of the test split")
    ms_one: float = Field(gt=0, description="milliseconds for one image, network alone")
    ms_sixteen: float = Field(gt=0, description="milliseconds per image in a batch of 16")
    accuracy: Score
    calibration_error: float = Field(ge=0, le=1, description="ECE after temperature scaling")
    coverage: Score | None = Field(
        description="share of prediction sets with the true class; None without decision rules"
    )
    ood_auroc: float | None = Field(
        ge=0, le=1, description="drawn OOD images against test images; None without a detector"
    )
    same_decision: float = Field(ge=0, le=1, description="share of images decided alike")
    largest_logit_difference: float = Field(ge=0)
    slower: str | None = Field(None, description="why a faster precision is not used")
    refused: str | None = Field(description="why the format is not published")


class Exports(Schema):
    """All formats that were measured, on one machine; the first is the safetensors model."""

    processor: str
    cores: int
    formats: list[FormatPassport]
