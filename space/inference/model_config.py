"""The strict schema of timm's `config.json`.

Only the keys listed here are accepted, and no URL or file name in the config is followed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .core.model_id import CONFIG_FILE
from .model_folder import ModelFolder

WEIGHTS_FILE = "model.safetensors"

Side = Annotated[int, Field(ge=16, le=2048)]
# Of pixels between 0 and 1.
Mean = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(ge=1e-3, le=10)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Scale = Annotated[float, Field(ge=0, le=1000)]
Name = Annotated[str, Field(min_length=1, max_length=1000)]


class Preprocessing(BaseModel):
    """The preprocessing of an image; timm's other keys are not used."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, strict=True, frozen=True)

    input_size: Annotated[list[int], Field(min_length=3, max_length=3)]
    fixed_input_size: bool = False
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
    crop_pct: float = Field(gt=0.1, le=1)
    crop_mode: Literal["center", "squash", "border"]
    mean: Annotated[list[Mean], Field(min_length=3, max_length=3)]
    std: Annotated[list[Deviation], Field(min_length=3, max_length=3)]
    num_classes: int | None = None

    @field_validator("input_size")
    @classmethod
    def _bounded(cls, size: list[int]) -> list[int]:
        if size[0] != 3:
            raise ValueError("the model does not take RGB images")
        if not all(16 <= side <= 2048 for side in size[1:]):
            raise ValueError("height and width must lie between 16 and 2048 pixels")
        return size


class Options(BaseModel):
    """The options of a network that a published model may set; bounded, so that it can be built."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True, frozen=True)

    num_classes: int | None = None
    in_chans: Literal[3] | None = None
    global_pool: Literal["avg", "max", "avgmax", "catavgmax", "fast", "token", "map"] | None = None
    img_size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] | None = None
    dynamic_img_size: bool | None = None
    depths: Annotated[list[Annotated[int, Field(ge=1, le=48)]], Field(max_length=8)] | None = None
    dims: Annotated[list[Annotated[int, Field(ge=1, le=8192)]], Field(max_length=8)] | None = None
    # Initial layer scale, as ConvNeXt and the transformers call it; 0 disables it.
    ls_init_value: Scale | None = None
    init_values: Scale | None = None
    # Used in training only.
    drop_rate: Rate | None = None
    drop_path_rate: Rate | None = None
    proj_drop_rate: Rate | None = None
    attn_drop_rate: Rate | None = None

    def of_the_network(self) -> dict[str, Any]:
        """Return the options that affect the output of a trained network."""
        names = {"global_pool", "img_size", "dynamic_img_size", "depths", "dims"}
        names |= {"ls_init_value", "init_values"}
        return self.model_dump(include=names, exclude_none=True)


class ModelConfig(BaseModel):
    """timm's `config.json` of a classifier with named classes.

    Attributes:
        tile: our own key, which timm ignores: cut long images into squares; see `tiling`.
        multi_label: our own key, too: each class has a sigmoid, and an image several classes.
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, strict=True, frozen=True)

    architecture: Annotated[str, Field(max_length=200)]
    num_classes: int
    label_names: list[Name]
    pretrained_cfg: Preprocessing
    model_args: Options = Options()
    # Significant bits of 16-bit images; earlier models use the full range.
    bit_depth: Literal[8, 10, 12, 14, 16] = 16
    tile: bool = False
    multi_label: bool = False

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        labels = len(self.label_names)
        if len(set(self.label_names)) != labels:
            raise ValueError("two classes have the same name")
        stated = (self.pretrained_cfg.num_classes, self.model_args.num_classes)
        for outputs in (self.num_classes, *(number for number in stated if number is not None)):
            if outputs != labels:
                raise ValueError(f"{outputs} outputs but {labels} label names")
        whole = self.pretrained_cfg.crop_mode == "squash" and self.pretrained_cfg.crop_pct == 1
        if self.tile and not whole:
            raise ValueError("images are cut into tiles, but the transform crops them")
        return self


def read_config(folder: ModelFolder) -> ModelConfig:
    """Read `config.json`.

    Raises:
        ModelError: it is missing, or does not fit the schema.
    """
    return folder.read_json(CONFIG_FILE, ModelConfig)
