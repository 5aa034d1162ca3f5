"""The epoch loop: train, validate, keep the best, write a checkpoint, go on where one ended."""

from __future__ import annotations

import json
import logging
import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from timm.utils import ModelEmaV3
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from tqdm import tqdm

from trainer import checkpoint
from trainer.config import TrainConfig
from trainer.endurance import StopRequest, explained_failures
from trainer.errors import ConfigError, DefectError
from trainer.images import Images
from trainer.loading import EpochSampler, mixed_seed
from trainer.optimisation import (
    build_loss,
    build_mixing,
    build_optimizer,
    build_schedule,
    highest_rate,
    likeliest,
)
from trainer.precision import spare_slow_convolutions
from trainer.task import Task

logger = logging.getLogger(__name__)

LAST, BEST, METRICS = "last.safetensors", "best.safetensors", "metrics.jsonl"


@dataclass(frozen=True)
class EpochResult:
    """What an epoch came to; losses in nats, an image's mean."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Fit:
    """A finished training: the log, and which epoch's weights were kept (in BEST)."""

    epochs: list[EpochResult]
    best_epoch: int
    stopped_early: bool


@dataclass(frozen=True)
class Begun:
    """An epoch that was stopped half-way.

    Attributes:
        steps: taken so far.
        totals: sums of loss and of right answers, and images, so far.
        seconds: spent so far.
    """

    steps: int = 0
    totals: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seconds: float = 0.0


class Fitting:
    """A training under way: everything that changes from step to step, and its checkpoint.

    Args:
        run_dir: where checkpoints and `metrics.jsonl` go.
    """

    def __init__(
        self,
        task: Task,
        images: Images,
        config: TrainConfig,
        run_dir: Path,
        accelerator: Accelerator,
    ) -> None:
        self.config, self.run_dir, self.accelerator = config, run_dir, accelerator
        recipe = config.recipe
        self.digest = images.digest()
        self.epochs: list[EpochResult] = []
        self.begun = Begun()
        self.random_state: torch.Tensor | None = None
        self.stop = StopRequest()
        if recipe.batch_size % accelerator.num_processes:
            raise ConfigError(
                f"--batch-size {recipe.batch_size} can't be shared equally by "
                f"{accelerator.num_processes} processes. Choose a multiple."
            )
        # Convolutions of most processors and GPUs run fastest in this memory layout.
        model = task.model.to(memory_format=torch.channels_last)
        spare_slow_convolutions(model, accelerator)
        # Copied before accelerate wraps the model: a copy must not share the wrapper's ties.
        self.average = (
            ModelEmaV3(model, decay=recipe.ema_decay, use_warmup=True, device=accelerator.device)
            if recipe.ema_decay
            else None
        )
        optimizer = build_optimizer(model, recipe, accelerator.device)
        self.sampler = EpochSampler(len(images.parts["train"]), recipe.batch_size, config.run.seed)
        loading: dict[str, Any] = {
            "batch_size": recipe.batch_size,
            "num_workers": config.run.workers,
            "persistent_workers": config.run.workers > 0,
            "pin_memory": accelerator.device.type == "cuda",
        }
        self.augment = task.augment.to(accelerator.device)
        self.prepare = task.prepare.to(accelerator.device)
        self.model, self.optimizer, self.train_batches, self.validation_batches = (
            accelerator.prepare(
                model,
                optimizer,
                DataLoader(task.train, sampler=self.sampler, **loading),
                DataLoader(task.validation, **loading),
            )
        )
        self.schedule = build_schedule(self.optimizer, recipe, len(self.train_batches))
        self.loss = build_loss(recipe, images.parts["train"]["label"]).to(accelerator.device)
        self.mix = build_mixing(recipe, len(images.labels))

    @property
    def best(self) -> EpochResult:
        """The epoch with the highest validation accuracy; among equals, the lowest loss."""
        return max(self.epochs, key=lambda e: (e.validation_accuracy, -e.validation_loss))

    @property
    def stopped_early(self) -> bool:
        """Whether validation has not improved for as long as early stopping allows."""
        patience = self.config.recipe.early_stopping
        return bool(
            patience and self.epochs and self.epochs[-1].epoch - self.best.epoch >= patience
        )

    def run(self) -> Fit:
        """Train to the last epoch, from the last checkpoint if there is one.

        Ctrl-C ends it after the step under way, with a checkpoint from which it goes on.

        Raises:
            DefectError: the loss is no number any more, or memory or disk are full.
            KeyboardInterrupt: it was stopped; the checkpoint is written.
        """
        with explained_failures(self.run_dir):
            if (self.run_dir / LAST).exists():
                self._restore()
            # Several processes would stop at different steps; they lose the epoch instead.
            alone = self.accelerator.num_processes == 1
            with self.stop.listening() if alone else nullcontext():
                while len(self.epochs) < self.config.recipe.epochs and not self.stopped_early:
                    self._run_epoch(len(self.epochs) + 1)
        return Fit(self.epochs, self.best.epoch, self.stopped_early)

    def _run_epoch(self, epoch: int) -> None:
        start = time.monotonic() - self.begun.seconds
        train_loss, train_accuracy = self._train(epoch, start)
        validation_loss, validation_accuracy = self._validate()
        if not math.isfinite(train_loss + validation_loss):
            kept = (
                f" The checkpoint of epoch {epoch - 1} is in {self.run_dir}." if epoch > 1 else ""
            )
            raise DefectError(
                f"The loss is no longer a number in epoch {epoch}. Start again with a lower --lr, "
                f"or with --clip-grad 1.{kept}"
            )
        result = EpochResult(
            epoch=epoch,
            lr=highest_rate(self.optimizer),
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.monotonic() - start,
        )
        self.epochs.append(result)
        self.begun, self.random_state = Begun(), None
        if self.accelerator.is_main_process:
            self._save()
        self.accelerator.wait_for_everyone()
        logger.info(
            "epoch %d/%d  train loss %.4f accuracy %.4f  "
            "validation loss %.4f accuracy %.4f%s  %.0f s",
            epoch,
            self.config.recipe.epochs,
            train_loss,
            train_accuracy,
            validation_loss,
            validation_accuracy,
            " (best)" if self.best is result else "",
            result.seconds,
        )

    def _train(self, epoch: int, start: float) -> tuple[float, float]:
        """Take the steps of one epoch; return mean loss and accuracy over its images."""
        recipe, accelerator, taken = self.config.recipe, self.accelerator, self.begun.steps
        self.sampler.epoch, self.sampler.first = epoch, taken * recipe.batch_size
        torch.manual_seed(mixed_seed(self.config.run.seed, epoch, accelerator.process_index))
        self.model.train()
        # Kept where the model is: reading the loss at every step would make a GPU wait.
        totals = torch.tensor(self.begun.totals, dtype=torch.float64).to(accelerator.device)
        steps = len(self.train_batches)
        if taken:
            # The rate of the last step taken, in case that none is left.
            self.schedule.step_update((epoch - 1) * steps + taken - 1)
        bar = self._bar(self.train_batches, f"epoch {epoch}/{recipe.epochs}", taken)
        for step, (inputs, targets) in enumerate(bar, (epoch - 1) * steps + taken):
            if self.random_state is not None:
                # Not before: starting the loader draws a number, too.
                torch.set_rng_state(self.random_state)
                self.random_state = None
            self.schedule.step_update(step)
            inputs = self.augment(inputs)
            if self.mix is not None:
                inputs, targets = self.mix(inputs, targets)
            outputs = self.model(inputs)
            loss = self.loss(outputs, targets).mean()
            accelerator.backward(loss)
            if recipe.clip_grad:
                accelerator.clip_grad_norm_(self.model.parameters(), recipe.clip_grad)
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.average is not None:
                self.average.update(accelerator.unwrap_model(self.model), step)
            totals[0] += loss.detach() * len(targets)
            totals[1] += (outputs.argmax(1) == likeliest(targets)).sum()
            totals[2] += len(targets)
            if self.stop.asked:
                loss_sum, right_sum, images = totals.tolist()
                taken = step + 1 - (epoch - 1) * steps
                seconds = time.monotonic() - start
                self.begun = Begun(taken, (loss_sum, right_sum, images), seconds)
                self._save_last()
                raise KeyboardInterrupt
        loss_sum, right_sum, images = accelerator.reduce(totals).tolist()
        return loss_sum / images, right_sum / images

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        """Return mean cross entropy (plain, whatever the training's) and accuracy."""
        model = self.model if self.average is None else self.average.module
        model.eval()
        losses, rights = [], []
        for inputs, targets in self._bar(self.validation_batches, "validation"):
            with self.accelerator.autocast():
                outputs = model(self.prepare(inputs)).float()
            outputs, targets = self.accelerator.gather_for_metrics((outputs, targets))
            losses.append(cross_entropy(outputs, targets, reduction="none"))
            rights.append(outputs.argmax(1) == targets)
        return torch.cat(losses).mean().item(), torch.cat(rights).double().mean().item()

    def _bar(self, batches: Any, title: str, first: int = 0) -> Any:
        # None switches the bar off where nobody watches a terminal.
        disable = None if self.accelerator.is_main_process else True
        return tqdm(batches, title, initial=first, unit="batch", leave=False, disable=disable)

    def _save(self) -> None:
        """Write best, log and last, in this order: `last` is what a resumed run believes."""
        if self.best is self.epochs[-1]:
            average = self.average.module if self.average is not None else self.model
            kept = self.accelerator.unwrap_model(average).state_dict()
            checkpoint.save(self.run_dir / BEST, kept, {"epoch": self.best.epoch})
        partial = self.run_dir / (METRICS + ".partial")
        lines = [json.dumps(asdict(epoch)) + "\n" for epoch in self.epochs]
        partial.write_text("".join(lines), encoding="utf-8")
        partial.replace(self.run_dir / METRICS)
        self._save_last()

    def _save_last(self) -> None:
        """Write all that a resumed run needs, whether an epoch has ended or not."""
        states = {
            "model": self.accelerator.unwrap_model(self.model).state_dict(),
            "optimizer": checkpoint.optimizer_state(self.optimizer.optimizer),
        }
        if self.average is not None:
            states["average"] = self.average.module.state_dict()
        if self.begun.steps:
            states["random"] = {"state": torch.get_rng_state()}
        facts = {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "digest": self.digest,
            "begun": asdict(self.begun),
        }
        checkpoint.save(self.run_dir / LAST, checkpoint.pack(**states), facts)

    def _restore(self) -> None:
        tensors, facts = checkpoint.load(self.run_dir / LAST)
        if facts["digest"] != self.digest:
            raise ConfigError(
                f"The images are not those that the run in {self.run_dir} began with. Put them "
                "back, or start a new run."
            )
        self.epochs = [EpochResult(**epoch) for epoch in facts["epochs"]]
        self.accelerator.unwrap_model(self.model).load_state_dict(
            checkpoint.unpack(tensors, "model")
        )
        checkpoint.restore_optimizer(
            self.optimizer.optimizer, checkpoint.unpack(tensors, "optimizer")
        )
        if self.average is not None:
            self.average.module.load_state_dict(checkpoint.unpack(tensors, "average"))
        begun = facts["begun"]
        self.begun = Begun(begun["steps"], tuple(begun["totals"]), begun["seconds"])
        self.random_state = checkpoint.unpack(tensors, "random").get("state")
        logger.info(
            "Going on after epoch %d%s of %s.",
            len(self.epochs),
            f" and {self.begun.steps} steps" if self.begun.steps else "",
            self.run_dir,
        )
