"""A model that learns: one step on one batch, and everything that a step changes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from timm.utils import ModelEmaV3

from space.inference.tiling import pool
from trainer.config.settings import RecipeConfig
from trainer.data.splits.dataset import Images
from trainer.fitting.compilation import compiled
from trainer.fitting.inputs import Task
from trainer.fitting.optimizer import (
    build_loss,
    build_mixing,
    build_optimizer,
    build_schedule,
    likeliest,
)
from trainer.fitting.precision import spare_slow_convolutions
from trainer.inputs.loading import Batch
from trainer.runtime import checkpoint
from trainer.runtime.checkpoint import Tensors


class TrainingStep:
    """A model, its optimiser and schedule, and the average of its weights.

    Args:
        task: the model, and what turns inputs into what it takes.
        images: for the number of classes and their frequencies.
        recipe: how it learns.
        steps_per_epoch: how long the schedule is.
        accelerator: where it learns, and in which precision.
        compile_network: whether its passes are compiled.

    Attributes:
        network: the bare model, to read weights from.
        model: the same, as accelerate wraps it.
        passes: the same, compiled if that is wanted.
    """

    def __init__(
        self,
        task: Task,
        images: Images,
        recipe: RecipeConfig,
        steps_per_epoch: int,
        accelerator: Accelerator,
        *,
        compile_network: bool = False,
    ) -> None:
        self.recipe, self.accelerator = recipe, accelerator
        # Convolutions of most processors and GPUs run fastest in this memory layout.
        self.network = task.model.to(memory_format=torch.channels_last)
        spare_slow_convolutions(self.network, accelerator)
        # Copied before accelerate wraps the model: a copy must not share the wrapper's ties.
        self.average = (
            ModelEmaV3(
                self.network, decay=recipe.ema_decay, use_warmup=True, device=accelerator.device
            )
            if recipe.ema_decay
            else None
        )
        optimizer = build_optimizer(self.network, recipe, accelerator.device)
        self.model, self.optimizer = accelerator.prepare(self.network, optimizer)
        # Only for steps: validation is a small part, and would have to be compiled by itself.
        self.passes = compiled(self.model) if compile_network else self.model
        self.schedule = build_schedule(self.optimizer, recipe, steps_per_epoch)
        self.augment = task.augment.to(accelerator.device)
        self.mix = build_mixing(recipe, len(images.labels))
        self.loss = build_loss(recipe, images.parts["train"]["label"][:]).to(accelerator.device)

    @property
    def judged(self) -> Any:
        """The model that validation judges: the average, if there is one."""
        return self.model if self.average is None else self.average.module

    @property
    def eval_weights(self) -> Tensors:
        """The weights that validation judges."""
        network = self.network if self.average is None else self.average.module
        return network.state_dict()

    def step(self, batches: Sequence[Batch], number: int) -> torch.Tensor:
        """Take one step on batches that memory holds one after another.

        Args:
            batches: their gradients add up.
            number: of the step, counted from the start of the training.

        Returns:
            sum of losses, correct answers, images; where the model is, since reading a number at
            every step would make a GPU wait.
        """
        self.schedule.step_update(number)
        self.model.train()
        images = sum(len(batch.targets) for batch in batches)
        totals = torch.zeros(3, dtype=self._total_dtype, device=self.accelerator.device)
        for place, batch in enumerate(batches, 1):
            last = place == len(batches)
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                totals += self._learn(batch, images)
        if self.recipe.clip_grad:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.clip_grad)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.network, number)
        return totals

    def _learn(self, batch: Batch, images: int) -> torch.Tensor:
        """Add up the gradients of one batch, as its share of the mean over all images."""
        inputs, targets = self.augment(batch.inputs), batch.targets
        if self.mix is not None:
            inputs, targets = self.mix(inputs, targets)
        outputs = pool(self.passes(inputs), batch.counts)
        loss = self.loss(outputs, targets).sum()
        self.accelerator.backward(loss / images)
        right = (outputs.argmax(1) == likeliest(targets)).sum()
        return torch.stack([loss.detach(), right, loss.new_tensor(len(targets))]).to(
            self._total_dtype
        )

    @property
    def _total_dtype(self) -> torch.dtype:
        # Apple's GPUs know no double precision.
        return torch.float32 if self.accelerator.device.type == "mps" else torch.float64

    def states(self) -> dict[str, Tensors]:
        """Return state dicts by name, for a checkpoint; `restore` takes them back."""
        states = {
            "model": self.network.state_dict(),
            "optimizer": checkpoint.optimizer_state(self.optimizer.optimizer),
        }
        if self.average is not None:
            states["average"] = self.average.module.state_dict()
        # In fp16, losses are scaled so that no gradient vanishes; the steps find out by how much.
        if self.accelerator.scaler is not None:
            states["scaler"] = checkpoint.scaler_state(self.accelerator.scaler)
        return states

    def restore(self, tensors: Tensors) -> None:
        """Put back what `states` returned, packed."""
        self.network.load_state_dict(checkpoint.unpack(tensors, "model"))
        checkpoint.restore_optimizer(
            self.optimizer.optimizer, checkpoint.unpack(tensors, "optimizer")
        )
        if self.average is not None:
            self.average.module.load_state_dict(checkpoint.unpack(tensors, "average"))
        scaler = checkpoint.unpack(tensors, "scaler")
        # What began in bf16 or float32 may go on where fp16 is best, and the other way round.
        if self.accelerator.scaler is not None and scaler:
            checkpoint.restore_scaler(self.accelerator.scaler, scaler)
