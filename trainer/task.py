"""What is fitted to what: a whole model to images, or its head to features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import Dataset

from trainer.augment import Normalise, plain_transform, training_transform
from trainer.backbone import Backbone
from trainer.config import TrainConfig
from trainer.features import FeatureStore, FeatureViews, PlainFeatures
from trainer.images import Images
from trainer.loading import PlainImages, TrainingImages


@dataclass(frozen=True)
class Task:
    """What is fitted to what: a whole model to images, or a head to features.

    Attributes:
        model: trained in place.
        train: gives (input, label) for a key (epoch, index).
        validation: gives (input, label) for an index.
        prepare: turns a batch of inputs into what the model takes.
    """

    model: nn.Module
    train: Dataset[tuple[torch.Tensor, int]]
    validation: Dataset[tuple[torch.Tensor, int]]
    prepare: nn.Module


def image_task(backbone: Backbone, images: Images, config: TrainConfig) -> Task:
    """Fit the whole model to images, augmented anew in each epoch."""
    seed, data_config = config.run.seed, backbone.data_config
    transform, plain = training_transform(config.recipe, data_config), plain_transform(data_config)
    return Task(
        model=backbone.model,
        train=TrainingImages(images.parts["train"], transform, seed),
        validation=PlainImages(images.parts["validation"], plain),
        prepare=Normalise(data_config),
    )


def head_task(
    backbone: Backbone, images: Images, config: TrainConfig, accelerator: Accelerator
) -> Task:
    """Fit the last linear layer to features that the frozen backbone computes once.

    Raises:
        ConfigError: the model's head can't be told from its backbone.
    """
    store = FeatureStore(backbone, config, accelerator)
    train, validation = images.parts["train"], images.parts["validation"]
    # The others read what the first process wrote.
    with accelerator.main_process_first():
        views = store.of(train, "features of training images")
        plain = store.of(validation, "features of validation images")
    model: Any = backbone.model
    return Task(
        model=model.get_classifier(),
        train=FeatureViews(views, list(train["label"]), config.run.seed),
        validation=PlainFeatures(plain, list(validation["label"])),
        prepare=nn.Identity(),
    )
