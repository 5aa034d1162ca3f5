"""What a trial may change: each recipe setting with its range around the preset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import optuna

from trainer.config.groups import ModelConfig
from trainer.config.recipe import RecipeConfig

# Settings that the strength of the augmentation multiplies, and their largest useful values.
AUGMENTATION = {
    "rotation": 180.0,
    "shear": 45.0,
    "translation": 0.5,
    "brightness": 0.9,
    "contrast": 2.0,
    "corrupt": 1.0,
}
RATE_RANGE = 10.0
LEAST_DECAY, MOST_DECAY = 1e-4, 1.0
LEAST_LAYER_DECAY = 0.6


@dataclass(frozen=True)
class Candidate:
    """The settings of one trial."""

    recipe: RecipeConfig
    image_size: int


@dataclass(frozen=True)
class SearchSpace:
    """The settings around a start.

    Attributes:
        recipe: the preset; its learning rate is resolved, see `resolve_rate`.
        model: of the network.
    """

    recipe: RecipeConfig
    model: ModelConfig

    @property
    def start(self) -> dict[str, Any]:
        """The parameters of the preset itself, the first trial."""
        start: dict[str, Any] = {
            "lr": self.recipe.lr,
            "weight_decay": min(max(self.recipe.weight_decay, LEAST_DECAY), MOST_DECAY),
            "epochs": self.recipe.epochs,
            "image_size": self.model.image_size,
        }
        if self.augments:
            start["augmentation"] = 1.0
        if self.model.tune == "all":
            start["layer_decay"] = max(self.recipe.layer_decay, LEAST_LAYER_DECAY)
        return start

    @property
    def augments(self) -> bool:
        """Whether augmentation is used: a head sees augmented images only with --views."""
        return self.model.tune == "all" or self.recipe.views > 0

    def sizes(self) -> list[int]:
        """Return the image sizes to try: about three quarters, the same, about five quarters."""
        size = self.model.image_size
        step = max(32, 32 * round(size / 4 / 32))
        return sorted({max(32, size - step), size, min(2048, size + step)})

    def candidate(self, parameters: dict[str, Any]) -> Candidate:
        """Return the settings of a trial that had these parameters."""
        return self.suggest(optuna.trial.FixedTrial(parameters))

    def suggest(self, trial: optuna.trial.BaseTrial) -> Candidate:
        """Return the settings of a trial."""
        recipe = self.recipe
        lr, epochs = recipe.lr, recipe.epochs
        changed: dict[str, Any] = {
            "lr": trial.suggest_float("lr", lr / RATE_RANGE, lr * RATE_RANGE, log=True),
            "weight_decay": trial.suggest_float("weight_decay", LEAST_DECAY, MOST_DECAY, log=True),
            "epochs": trial.suggest_int("epochs", max(1, epochs // 2), 2 * epochs),
        }
        if self.augments:
            strength = trial.suggest_float("augmentation", 0.0, 2.0)
            changed |= {
                name: min(getattr(recipe, name) * strength, most)
                for name, most in AUGMENTATION.items()
            }
        if self.model.tune == "all":
            changed["layer_decay"] = trial.suggest_float("layer_decay", LEAST_LAYER_DECAY, 1.0)
        ends = min(recipe.warmup_epochs, changed["epochs"] - 1)
        changed |= {"warmup_epochs": ends, "search_decay": False}
        size = trial.suggest_categorical("image_size", self.sizes())
        return Candidate(replace(recipe, **changed), size)
