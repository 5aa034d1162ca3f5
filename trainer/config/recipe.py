"""The training recipe, and the presets of its defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from trainer.config.option_types import AUGMENTS_VIEWS, STRICT


@dataclass(frozen=True)
class RecipeConfig:
    """The training recipe."""

    __pydantic_config__ = STRICT

    preset: Literal["reference", "recommended", "from-scratch"] = "reference"
    """Recipe of the defaults below, or a file of tune.py; other options override it."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 50
    """Number of passes over the training images."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 16
    """Images per batch, over all processes."""
    accumulate: Annotated[int, Field(ge=1, le=65_536)] = 1
    """Number of batches to accumulate gradients over before a step; saves memory."""
    lr: Annotated[float, Field(ge=0)] = 1e-4
    """Peak learning rate of AdamW; 0: 1e-3 for batch normalization or a head, else 1e-4."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    """Weight decay of AdamW; biases and norms are exempt."""
    search_decay: bool = True
    """With --tune head: try this weight decay, 100 and 1,000 times it, and use the best."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of the learning rate from each layer to the layer before it; 1 disables it."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning-rate schedule after warm-up."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs in which the learning rate rises from near zero."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Label smoothing: share of each target that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weight the loss by the inverse frequency of the classes."""
    early_stopping: Annotated[int, Field(ge=0)] = 0
    """Stop after this many epochs without a better validation result; 0 disables it."""
    keep: Literal["best", "last"] = "best"
    """Publish the epoch with the best validation result, or the last one."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay per step of the weights' moving average, which is published; 0 disables it."""
    clip_grad: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of the gradient; 0 disables clipping."""
    rotation: Annotated[float, Field(ge=0, le=180), AUGMENTS_VIEWS] = 45.0
    """Augmentation: random rotation by up to this angle in degrees, in both directions."""
    shear: Annotated[float, Field(ge=0, lt=90), AUGMENTS_VIEWS] = 5.0
    """Augmentation: random shear by up to this angle in degrees, in x and y."""
    translation: Annotated[float, Field(ge=0, lt=1), AUGMENTS_VIEWS] = 0.1
    """Augmentation: random shift by up to this share of the side."""
    zoom: Annotated[float, Field(ge=0, le=4), AUGMENTS_VIEWS] = 0.0
    """Augmentation: random zoom, in or out, by up to this share."""
    flip: Annotated[bool, AUGMENTS_VIEWS] = True
    """Augmentation: random horizontal and vertical flips."""
    brightness: Annotated[float, Field(ge=0, lt=1), AUGMENTS_VIEWS] = 0.0
    """Augmentation: random brightness, up to this share of the full range."""
    contrast: Annotated[float, Field(ge=0, le=4), AUGMENTS_VIEWS] = 0.0
    """Augmentation: random contrast, up to this share more or less."""
    plain_epochs: Annotated[int, Field(ge=0)] = 0
    """Augmentation: last epochs without rotation, shear, shift and zoom."""
    corrupt: Annotated[float, Field(ge=0, le=1), AUGMENTS_VIEWS] = 0.0
    """Augmentation: share of images with corruptions of light, lens, resolution or sensor."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Augmentation: parameter of MixUp's beta distribution; 0 disables it."""
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    """Augmentation: parameter of CutMix's beta distribution; 0 disables it."""
    views: Annotated[int, Field(ge=0, le=100)] = 0
    """With --tune head: augmented views of each training image, in addition to the image."""


PRESETS = {
    "reference": RecipeConfig(),
    "recommended": RecipeConfig(
        preset="recommended",
        keep="last",
        epochs=16,
        lr=0,
        schedule="cosine",
        warmup_epochs=1,
        contrast=0.8,
        brightness=0.3,
        plain_epochs=5,
        corrupt=0.1,
    ),
    "from-scratch": RecipeConfig(
        preset="from-scratch",
        keep="last",
        epochs=100,
        lr=1e-3,
        weight_decay=0.05,
        schedule="cosine",
        warmup_epochs=5,
        label_smoothing=0.1,
        ema_decay=0.998,
        clip_grad=1.0,
        contrast=0.8,
        brightness=0.3,
    ),
}
