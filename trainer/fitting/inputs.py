"""What is fitted to what: a whole model to images, or its head to features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn
from torch.utils.data import Dataset

from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import Images
from trainer.inputs.augment import Augment, Normalise
from trainer.inputs.loading import PlainImages, TrainingImages, decode
from trainer.model.backbone import Backbone
from trainer.model.feature_cache import FeatureStore, FeatureViews, PlainFeatures

# In a run folder, while it trains: pixels that memory does not hold.
PIXELS_DIR = "pixels.partial"


@dataclass(frozen=True)
class Task:
    """What is fitted to what: a whole model to images, or a head to features.

    Attributes:
        model: trained in place.
        train: gives (inputs of all tiles, label) for a key (epoch, index).
        validation: gives (inputs of all tiles, label) for an index.
        augment: turns the tiles of a training batch into what the model takes.
        prepare: does so with validation inputs.
        image_s: seconds that a pass of an image through the whole network takes, where training
            does not show it.
    """

    model: nn.Module
    train: Dataset[Any]
    validation: Dataset[Any]
    augment: nn.Module
    prepare: nn.Module
    image_s: float | None = None


def image_task(
    backbone: Backbone,
    images: Images,
    config: TrainConfig,
    run_dir: Path,
    accelerator: Accelerator,
) -> Task:
    """Fit the whole model to images, augmented anew in each epoch."""
    data_config = backbone.data_config

    def decoded(name: str) -> PlainImages:
        part = images.parts[name]
        file = run_dir / PIXELS_DIR / f"{name}-{accelerator.process_index}.arrow"
        pixels = decode(part, data_config, file, tile=config.model.tile)
        return PlainImages(pixels, part["label"][:], data_config)

    return Task(
        model=backbone.model,
        train=TrainingImages(
            decoded("train"),
            config.run.seed,
            whole_from=config.recipe.epochs - config.recipe.plain_epochs + 1,
        ),
        validation=decoded("validation"),
        augment=Augment(config.recipe, data_config),
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
        views = store.of(train, config.recipe.views, "features of training images")
        plain = store.of(validation, 0, "features of validation images")
    model: Any = backbone.model
    return Task(
        model=model.get_classifier(),
        train=FeatureViews(views, train["label"][:], config.run.seed),
        validation=PlainFeatures(plain, validation["label"][:]),
        augment=nn.Identity(),
        prepare=nn.Identity(),
        image_s=store.image_s,
    )
