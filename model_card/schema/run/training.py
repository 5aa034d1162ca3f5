"""The network of a run, how it was trained, and on which machine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from model_card.schema.base import Schema


class Model(Schema):
    """The network and the origin of its initial weights."""

    architecture: str = Field(description="timm's name, without the tag of pretrained weights")
    labels: list[str]
    parameters: int = Field(gt=0)
    trained_parameters: int = Field(gt=0)
    weights_origin: Literal["hub", "file", "random"]
    base_model: str | None = Field(description="Hub id of the base weights; None if not from there")
    weights_file: str | None = Field(description="name of the local file of base weights, if any")
    license: str | None = Field(description="Hub license id of the base weights; None: not known")
    input_size_px: int = Field(gt=0)
    resize: str = Field(description="timm's crop_mode: squash, center or border")
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    tiled: bool = Field(
        False, description="long images are cut into square tiles and their logits pooled"
    )


class Setting(Schema):
    """One resolved setting of the run, as its command line flag."""

    flag: str
    value: str
    default: str

    @property
    def differs(self) -> bool:
        """Whether the value differs from the default."""
        return self.value != self.default


class Epoch(Schema):
    """Results of one epoch of training; losses in nats."""

    epoch: int = Field(ge=1)
    lr: float = Field(ge=0)
    train_loss: float
    train_accuracy: float = Field(ge=0, le=1)
    validation_loss: float
    validation_accuracy: float = Field(ge=0, le=1)
    seconds: float = Field(ge=0)
    published: bool = Field(description="whether the published weights are those of this epoch")


class Training(Schema):
    """How the model was trained."""

    command: str = Field(description="command line that repeats the run")
    settings: list[Setting]
    epochs: list[Epoch]
    epoch_choice: Literal["best", "last"] | None = Field(
        None,
        description="published epoch: the best by validation score, or the last; None: not "
        "recorded by an earlier version",
    )
    stopped_early: bool
    weights_averaged: bool = Field(
        description="published weights are an exponential moving average"
    )

    @model_validator(mode="after")
    def _one_epoch_published(self) -> Training:
        if sum(epoch.published for epoch in self.epochs) != 1:
            raise ValueError("exactly one epoch must be marked as published")
        return self


class Machine(Schema):
    """Hardware, software and time of the run."""

    processor: str
    cores: int = Field(gt=0)
    accelerator: str | None
    processes: int = Field(gt=0)
    precision: str
    started: str = Field(description="ISO 8601, UTC")
    training_seconds: float = Field(ge=0)
    versions: dict[str, str] = Field(description="package name → version, including Python")
    code_url: str | None = Field(None, description="repository of the training code, if known")
