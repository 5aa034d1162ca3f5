"""One training step, and everything that it changes: weights, optimizer, schedule, EMA."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy

from trainer.config.recipe import RecipeConfig
from trainer.data.splits.dataset import Images
from trainer.fitting.inputs import FitInputs
from trainer.fitting.optimizer import (
    SigmoidLoss,
    build_loss,
    build_optimizer,
    build_schedule,
    correct,
)
from trainer.inputs.loading import Batch
from trainer.inputs.mixing import build_mixing
from trainer.model.average import MovingAverage
from trainer.model.compilation import compiled
from trainer.model.precision import spare_slow_convolutions
from trainer.model.tile_pooling import pool
from trainer.runtime import checkpoint
from trainer.runtime.checkpoint import Tensors


class DrawnBatch(NamedTuple):
    """All that a step needs of a batch.

    Attributes:
        inputs: of all tiles: pixels with their random numbers, augmented images, or features.
        targets: as in `Batch`.
        mixing: how images are mixed, see `Mixing.draw`; None if they are not.
    """

    inputs: Any
    targets: torch.Tensor
    mixing: torch.Tensor | None = None


class TrainingStep:
    """A model, its optimizer and schedule, and the moving average of its weights.

    Args:
        inputs: the model and its augmentation.
        images: for the number of classes and their frequencies.
        recipe: of the training.
        steps_per_epoch: for the schedule.
        accelerator: the device and the precision.
        compile_network: whether to compile the network.

    Attributes:
        network: the bare model, to read weights from.
        model: the same model, wrapped by accelerate.
        passes: the same model, compiled if `compile_network` is set.
    """

    def __init__(
        self,
        inputs: FitInputs,
        images: Images,
        recipe: RecipeConfig,
        steps_per_epoch: int,
        accelerator: Accelerator,
        *,
        compile_network: bool = False,
    ) -> None:
        self.recipe, self.accelerator = recipe, accelerator
        # Convolutions run fastest in this memory layout on most CPUs and GPUs.
        self.network = inputs.model.to(memory_format=torch.channels_last)
        spare_slow_convolutions(self.network, accelerator)
        # Copy before accelerate wraps the model: a copy must not share the wrapper's state.
        self.average = (
            MovingAverage(self.network, recipe.ema_decay, accelerator.device)
            if recipe.ema_decay
            else None
        )
        optimizer = build_optimizer(self.network, recipe, accelerator.device)
        self.model, self.optimizer = accelerator.prepare(self.network, optimizer)
        # For training steps only: validation is short, and would need its own compilation.
        self.passes = compiled(self.model) if compile_network else self.model
        self.schedule = build_schedule(self.optimizer, recipe, steps_per_epoch)
        self.augment = inputs.augment.to(accelerator.device)
        self.mixing = build_mixing(recipe, len(images.labels))
        self.multi_label = images.multi_label
        labels = images.splits["train"]["label"][:]
        loss = build_loss(recipe, labels, multi_label=self.multi_label)
        self.loss = loss.to(accelerator.device)

    @property
    def eval_model(self) -> Any:
        """The model to evaluate: the moving average if there is one."""
        return self.model if self.average is None else self.average.module

    @property
    def eval_weights(self) -> Tensors:
        """The weights of the model to evaluate."""
        network = self.network if self.average is None else self.average.module
        return network.state_dict()

    def step(self, batches: Sequence[Batch], number: int) -> torch.Tensor:
        """Take one step on one or several batches, whose gradients are accumulated.

        Args:
            batches: of this step.
            number: of the step, counted from the start of the training.

        Returns:
            sum of losses, correct predictions, images; on the model's device, since reading a
            number at every step would make a GPU wait.
        """
        self.prepare_step(number)
        totals = self.descend(
            [self.drawn(batch) for batch in batches], counts=[batch.counts for batch in batches]
        )
        self.update_average(number)
        return totals

    def prepare_step(self, number: int) -> None:
        """Set the learning rates of a step, and the network to training."""
        self.schedule.step_update(number)
        self.model.train()

    def update_average(self, number: int) -> None:
        """Move the average toward the weights after a step."""
        if self.average is not None:
            self.average.update(self.network, number)

    def drawn(self, batch: Batch) -> DrawnBatch:
        """Draw how a batch is mixed."""
        if self.mixing is None:
            return DrawnBatch(batch.inputs, batch.targets)
        pixels, _ = batch.inputs
        mixing = self.mixing.draw(*pixels.shape[2:]).to(pixels.device, non_blocking=True)
        return DrawnBatch(batch.inputs, batch.targets, mixing)

    def descend(
        self,
        batches: Sequence[DrawnBatch],
        *,
        augmented: bool = False,
        counts: Sequence[Sequence[int]] | None = None,
    ) -> torch.Tensor:
        """Accumulate the gradients of batches, clip them, and change the weights.

        Nothing here reads a number from a GPU, so that it can be recorded (`GraphedSteps`).

        Args:
            batches: of this step.
            augmented: whether the inputs are augmented already.
            counts: number of tiles of each image of each batch; None: one each.
        """
        images = sum(len(batch.targets) for batch in batches)
        totals = torch.zeros(3, dtype=self._total_dtype, device=self.accelerator.device)
        for place, (inputs, targets, drawn) in enumerate(batches):
            last = place == len(batches) - 1
            tiles = counts[place] if counts else [1] * len(targets)
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                seen, wanted = inputs if augmented else self.augment(inputs), targets
                if self.mixing is not None and drawn is not None:
                    seen, wanted = self.mixing.mix(seen, targets, drawn)
                totals += self._backward(seen, wanted, tiles, images)
        if self.recipe.clip_grad:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.clip_grad)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return totals

    def _backward(
        self, inputs: torch.Tensor, targets: torch.Tensor, tiles: Sequence[int], images: int
    ) -> torch.Tensor:
        """Accumulate the gradients of one batch, as its share of the mean over all images."""
        outputs = pool(self.passes(inputs), tiles)
        loss = self.loss(outputs, targets).sum()
        self.accelerator.backward(loss / images)
        hits = self.correct(outputs, targets).sum()
        count = torch.full_like(loss, len(targets))
        return torch.stack([loss.detach(), hits, count.detach()]).to(self._total_dtype)

    def correct(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return which images are predicted correctly, [image]."""
        return correct(outputs, targets, multi_label=self.multi_label)

    def plain_loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the cross entropy of each image, whatever the training loss is: [image]."""
        if self.multi_label:
            loss: torch.Tensor = SigmoidLoss()(outputs, targets)
            return loss
        return cross_entropy(outputs, targets, reduction="none")

    @property
    def _total_dtype(self) -> torch.dtype:
        # Apple's GPUs have no double precision.
        return torch.float32 if self.accelerator.device.type == "mps" else torch.float64

    def states(self) -> dict[str, Tensors]:
        """Return state dicts by name, for a checkpoint."""
        states = {
            "model": self.network.state_dict(),
            "optimizer": checkpoint.optimizer_state(self.optimizer.optimizer),
        }
        if self.average is not None:
            states["average"] = self.average.module.state_dict()
        # In fp16, losses are scaled so that no gradient vanishes; the steps adapt the factor.
        if self.accelerator.scaler is not None:
            states["scaler"] = checkpoint.scaler_state(self.accelerator.scaler)
        return states

    def restore(self, tensors: Tensors) -> None:
        """Restore the packed state dicts of `states`."""
        self.network.load_state_dict(checkpoint.unpack(tensors, "model"))
        checkpoint.restore_optimizer(
            self.optimizer.optimizer, checkpoint.unpack(tensors, "optimizer")
        )
        if self.average is not None:
            self.average.module.load_state_dict(checkpoint.unpack(tensors, "average"))
        scaler = checkpoint.unpack(tensors, "scaler")
        # A run that started in bf16 or float32 may resume in fp16, and vice versa.
        if self.accelerator.scaler is not None and scaler:
            checkpoint.restore_scaler(self.accelerator.scaler, scaler)
