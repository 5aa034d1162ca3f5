"""What a network can give besides classes, and what it costs, known before it is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from space.inference.attribution import stage_names
from space.inference.networks.stages import feature_stages
from trainer.config.groups import ModelConfig
from trainer.errors import ConfigError
from trainer.model import backbone
from trainer.model.cost import forward_operations

NO_HEATMAP = "no heatmaps: timm lists no stages of this network"
NO_NOVELTY = "no rejection of unknown surfaces: the network exposes no feature maps"


@dataclass(frozen=True)
class Abilities:
    """What a network can't give, and the operations of one image's forward pass."""

    missing: list[str]
    operations: int


def abilities_of(config: ModelConfig) -> Abilities:
    """Return the abilities of a network; its weights are not needed.

    Raises:
        ConfigError: timm has no such network.
    """
    unloaded = replace(config, pretrained=False, weights=None)
    size_px = (config.image_size, config.image_size)
    try:
        # Takes no time and no memory, but not every network works there.
        with torch.device("meta"):
            model: Any = backbone.build(unloaded, classes=2).model.eval()
        operations = forward_operations(model, size_px)
    except (ConfigError, NotImplementedError, RuntimeError):
        model = backbone.build(unloaded, classes=2).model.eval()
        operations = forward_operations(model, size_px)
    missing = [] if stage_names(model) else [NO_HEATMAP]
    missing += [] if feature_stages(model) else [NO_NOVELTY]
    return Abilities(missing, operations)
