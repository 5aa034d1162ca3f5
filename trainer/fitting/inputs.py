"""The model to fit and the data to fit it to: images for a whole model, features for a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from trainer.config.groups import RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.config.run_folder import RunContext
from trainer.data.image_defects import targets
from trainer.data.splits.dataset import Images
from trainer.inputs.augment import Augment, Normalize
from trainer.inputs.loading import PlainImages, TrainingImages, decode
from trainer.model.backbone import Backbone
from trainer.model.feature_cache import FeatureStore, FeatureViews, PlainFeatures

# In the run folder during training: pixels that do not fit into memory.
PIXELS_DIR = "pixels.partial"


@dataclass(frozen=True)
class FitInputs:
    """The model to fit and its data: a whole model and images, or a head and features.

    Attributes:
        model: trained in place.
        train: maps a key (epoch, index) to (inputs of all tiles, label).
        validation: maps an index to (inputs of all tiles, label).
        augment: converts the tiles of a training batch to the input of the model.
        prepare: does the same with validation batches.
        image_s: seconds of one pass of an image through the whole network, if training does not
            measure it.
    """

    model: nn.Module
    train: Dataset[Any]
    validation: Dataset[Any]
    augment: nn.Module
    prepare: nn.Module
    image_s: float | None = None


def image_inputs(
    backbone: Backbone,
    images: Images,
    recipe: RecipeConfig,
    run: RunConfig,
    context: RunContext,
    *,
    tile: bool,
) -> FitInputs:
    """Return the inputs to fit the whole model to images, augmented differently in each epoch."""
    data_config = backbone.data_config

    def decoded(name: str) -> PlainImages:
        split = images.splits[name]
        process = context.accelerator.process_index
        file = context.run_dir / PIXELS_DIR / f"{name}-{process}.arrow"
        pixels = decode(split, data_config, file, tile=tile)
        return PlainImages(pixels, targets(split), data_config)

    return FitInputs(
        model=backbone.model,
        train=TrainingImages(
            decoded("train"),
            run.seed,
            whole_from=recipe.epochs - recipe.plain_epochs + 1,
        ),
        validation=decoded("validation"),
        augment=Augment(recipe, data_config),
        prepare=Normalize(data_config),
    )


def head_inputs(
    backbone: Backbone,
    images: Images,
    recipe: RecipeConfig,
    run: RunConfig,
    context: RunContext,
    *,
    tile: bool,
) -> FitInputs:
    """Return the inputs to fit the last linear layer to features of the frozen backbone.

    Raises:
        ConfigError: the model's head is more than one linear layer.
    """
    accelerator = context.accelerator
    store = FeatureStore(backbone, recipe, run, accelerator, tile=tile)
    train, validation = images.splits["train"], images.splits["validation"]
    # The first process writes the cache, the others read it.
    with accelerator.main_process_first():
        views = store.features(train, recipe.views, "features of training images")
        plain = store.features(validation, 0, "features of validation images")
    model: Any = backbone.model
    return FitInputs(
        model=model.get_classifier(),
        train=FeatureViews(views, targets(train), run.seed),
        validation=PlainFeatures(plain, targets(validation)),
        augment=nn.Identity(),
        prepare=nn.Identity(),
        image_s=store.image_s,
    )
