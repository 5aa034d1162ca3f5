"""The epoch loop: train, validate, keep the best, write a checkpoint, go on where one ended."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from trainer import checkpoint
from trainer.augment import Normalise, plain_transform, training_transform
from trainer.backbone import Backbone
from trainer.config import TrainConfig
from trainer.errors import ConfigError, DefectError
from trainer.features import FeatureStore, FeatureViews, PlainFeatures
from trainer.images import Images
from trainer.loading import EpochSampler, PlainImages, TrainingImages, mixed_seed

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
        if recipe.batch_size % accelerator.num_processes:
            raise ConfigError(
                f"--batch-size {recipe.batch_size} can't be shared equally by "
                f"{accelerator.num_processes} processes. Choose a multiple."
            )
        # Convolutions of most processors and GPUs run fastest in this memory layout.
        model = task.model.to(memory_format=torch.channels_last)
        # Copied before accelerate wraps the model: a copy must not share the wrapper's ties.
        self.average = (
            ModelEmaV3(model, decay=recipe.ema_decay, use_warmup=True, device=accelerator.device)
            if recipe.ema_decay
            else None
        )
        optimizer = create_optimizer_v2(
            model, opt="adamw", lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self.sampler = EpochSampler(len(images.parts["train"]), config.run.seed)
        loading: dict[str, Any] = {
            "batch_size": recipe.batch_size,
            "num_workers": config.run.workers,
            "persistent_workers": config.run.workers > 0,
            "pin_memory": accelerator.device.type == "cuda",
        }
        self.prepare = task.prepare.to(accelerator.device)
        self.model, self.optimizer, self.train_batches, self.validation_batches = (
            accelerator.prepare(
                model,
                optimizer,
                DataLoader(task.train, sampler=self.sampler, **loading),
                DataLoader(task.validation, **loading),
            )
        )
        self.schedule = self._schedule()
        self.loss = nn.CrossEntropyLoss(
            weight=self._class_weights(images), label_smoothing=recipe.label_smoothing
        )

    def _schedule(self) -> CosineLRScheduler | None:
        recipe, steps = self.config.recipe, len(self.train_batches)
        if recipe.schedule == "constant":
            return None
        return CosineLRScheduler(
            self.optimizer,
            t_initial=recipe.epochs * steps,
            warmup_t=recipe.warmup_epochs * steps,
            warmup_lr_init=recipe.lr / 100,
            warmup_prefix=False,
            t_in_epochs=False,
        )

    def _class_weights(self, images: Images) -> torch.Tensor | None:
        """Return inverse class frequencies with mean 1 over the images, or nothing."""
        if self.config.recipe.class_weights == "none":
            return None
        counts = torch.bincount(torch.tensor(images.parts["train"]["label"]))
        weights = counts.sum() / (len(counts) * counts)
        return weights.to(self.accelerator.device)

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

        Raises:
            DefectError: the loss is no number any more.
        """
        if (self.run_dir / LAST).exists():
            self._restore()
        while len(self.epochs) < self.config.recipe.epochs and not self.stopped_early:
            self._run_epoch(len(self.epochs) + 1)
        return Fit(self.epochs, self.best.epoch, self.stopped_early)

    def _run_epoch(self, epoch: int) -> None:
        start = time.monotonic()
        train_loss, train_accuracy = self._train(epoch)
        validation_loss, validation_accuracy = self._validate()
        if not math.isfinite(train_loss + validation_loss):
            raise DefectError(
                f"The loss is no longer a number in epoch {epoch}. Start again with a lower --lr, "
                f"or with --clip-grad 1. The checkpoint of the epoch before is in {self.run_dir}."
            )
        result = EpochResult(
            epoch=epoch,
            lr=self.optimizer.param_groups[0]["lr"],
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.monotonic() - start,
        )
        self.epochs.append(result)
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

    def _train(self, epoch: int) -> tuple[float, float]:
        """Take the steps of one epoch; return mean loss and accuracy over its images."""
        recipe, accelerator = self.config.recipe, self.accelerator
        self.sampler.epoch = epoch
        torch.manual_seed(mixed_seed(self.config.run.seed, epoch, accelerator.process_index))
        self.model.train()
        totals = torch.zeros(3, dtype=torch.float64, device=accelerator.device)
        steps = len(self.train_batches)
        bar = self._bar(self.train_batches, f"epoch {epoch}/{recipe.epochs}")
        for step, (inputs, targets) in enumerate(bar, (epoch - 1) * steps):
            if self.schedule is not None:
                self.schedule.step_update(step)
            outputs = self.model(self.prepare(inputs))
            loss = self.loss(outputs, targets)
            accelerator.backward(loss)
            if recipe.clip_grad:
                accelerator.clip_grad_norm_(self.model.parameters(), recipe.clip_grad)
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.average is not None:
                self.average.update(accelerator.unwrap_model(self.model), step)
            totals[0] += loss.detach() * len(targets)
            totals[1] += (outputs.argmax(1) == targets).sum()
            totals[2] += len(targets)
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
            losses.append(nn.functional.cross_entropy(outputs, targets, reduction="none"))
            rights.append(outputs.argmax(1) == targets)
        return torch.cat(losses).mean().item(), torch.cat(rights).double().mean().item()

    def _bar(self, batches: Any, title: str) -> Any:
        # None switches the bar off where nobody watches a terminal.
        disable = None if self.accelerator.is_main_process else True
        return tqdm(batches, title, unit="batch", leave=False, disable=disable)

    def _save(self) -> None:
        """Write best, log and last, in this order: `last` is what a resumed run believes."""
        model = self.accelerator.unwrap_model(self.model).state_dict()
        states = {"model": model, "optimizer": checkpoint.optimizer_state(self.optimizer.optimizer)}
        if self.average is not None:
            states["average"] = self.average.module.state_dict()
        if self.best is self.epochs[-1]:
            kept = states.get("average", model)
            checkpoint.save(self.run_dir / BEST, kept, {"epoch": self.best.epoch})
        log = [asdict(epoch) for epoch in self.epochs]
        partial = self.run_dir / (METRICS + ".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in log), encoding="utf-8")
        partial.replace(self.run_dir / METRICS)
        facts = {"epochs": log, "digest": self.digest}
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
        logger.info("Going on after epoch %d of %s.", len(self.epochs), self.run_dir)
