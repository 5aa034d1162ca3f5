"""Optimization: AdamW, its learning-rate schedule, the loss, mixup and CutMix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.modules.batchnorm import _BatchNorm

from trainer.config.recipe import RecipeConfig

# Devices with a fused AdamW. On two cores a step takes 160 ms instead of 1.1 s for the 88 million
# weights of ConvNeXt-Base, 11 ms instead of 42 ms for the 3.4 million of ConvNeXt-Atto.
FUSED_ON = ("cpu", "cuda", "mps", "xpu")


# The first was measured on tf_efficientnet_lite0 (docs/results/recipes.md). Without batch
# normalization a rate this high may destroy pretrained weights: the second is the reference
# work's, made for ConvNeXt.
RATE_WITH_BATCH_NORM, RATE_WITHOUT, RATE_OF_HEAD = 1e-3, 1e-4, 1e-3


def resolve_rate(
    recipe: RecipeConfig, model: nn.Module, tune: Literal["all", "head"]
) -> RecipeConfig:
    """Return the recipe with a learning rate for this network, if it asks for one with 0."""
    if recipe.lr:
        return recipe
    over_batch = any(isinstance(module, _BatchNorm) for module in model.modules())
    rate = RATE_WITH_BATCH_NORM if over_batch else RATE_WITHOUT
    return replace(recipe, lr=RATE_OF_HEAD if tune == "head" else rate)


def build_optimizer(
    model: nn.Module, recipe: RecipeConfig, device: torch.device
) -> torch.optim.Optimizer:
    """Return AdamW; with layer decay, earlier layers have smaller learning rates.

    Layer decay as in BEiT (https://arxiv.org/abs/2106.08254), with timm's groups of layers.
    """
    optimizer: torch.optim.Optimizer = create_optimizer_v2(
        model,
        opt="adamw",
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        layer_decay=recipe.layer_decay if recipe.layer_decay < 1 else None,
        fused=device.type in FUSED_ON,
    )
    return optimizer


def build_schedule(optimizer: Any, recipe: RecipeConfig, steps_per_epoch: int) -> Any:
    """Return timm's schedule, updated with the number of each step; it applies layer decay, too."""
    schedule, _ = create_scheduler_v2(
        optimizer,
        sched=recipe.schedule,
        num_epochs=recipe.epochs,
        warmup_epochs=recipe.warmup_epochs,
        warmup_lr=recipe.lr / 100,
        step_on_epochs=False,
        updates_per_epoch=steps_per_epoch,
    )
    return schedule


def highest_rate(optimizer: Any) -> float:
    """Return the learning rate of the head; with layer decay it is the highest."""
    rate: float = max(group["lr"] for group in optimizer.param_groups)
    return rate


class SigmoidLoss(nn.Module):
    """Binary cross entropy of each class, added up for each image: [image], in nats.

    Args:
        label_smoothing: share of each target that moves toward one half.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image; targets are 1 for its defects, [image, class]."""
        share = self.label_smoothing
        wanted = targets * (1 - share) + share / 2
        return binary_cross_entropy_with_logits(outputs, wanted, reduction="none").sum(1)


def build_loss(
    recipe: RecipeConfig, labels: Sequence[int], *, multi_label: bool = False
) -> nn.CrossEntropyLoss | SigmoidLoss:
    """Return the loss per image, for targets that are class indices or class probabilities.

    Args:
        recipe: label smoothing and class weights.
        labels: of all training images.
        multi_label: whether targets are all defects of an image.
    """
    if multi_label:
        return SigmoidLoss(recipe.label_smoothing)
    return nn.CrossEntropyLoss(
        weight=None if recipe.class_weights == "none" else balanced_weights(labels),
        label_smoothing=recipe.label_smoothing,
        # The mean is taken over images by the caller. torch's weighted mean would differ where a
        # batch is split over processes or accumulation steps.
        reduction="none",
    )


def balanced_weights(labels: Sequence[int]) -> torch.Tensor:
    """Return inverse class frequencies, with mean 1 over the images."""
    counts = torch.bincount(torch.tensor(labels))
    return counts.sum() / (len(counts) * counts)


def correct(
    outputs: torch.Tensor, targets: torch.Tensor, *, multi_label: bool = False
) -> torch.Tensor:
    """Return which images are predicted correctly, [image].

    With several defects, these are exactly the classes with a probability above one half.
    """
    if multi_label:
        return ((outputs > 0) == (targets > 0.5)).all(1)
    return outputs.argmax(1) == likeliest(targets)


def likeliest(targets: torch.Tensor) -> torch.Tensor:
    """Return the class of each image; of a mixed image, the class with the largest share."""
    return targets if targets.ndim == 1 else targets.argmax(1)
