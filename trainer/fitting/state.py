"""The state of a training: its epochs so far, and the checkpoints from which it resumes."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import torch
from accelerate import Accelerator
from pydantic import Field, TypeAdapter, ValidationError

from trainer.config.recipe import RecipeConfig
from trainer.errors import ConfigError, DataError
from trainer.fitting.step import TrainingStep
from trainer.monitoring.epoch_log import BEST, LAST, METRICS, EpochResult, History
from trainer.runtime import checkpoint
from trainer.runtime.process_group import gathered

logger = logging.getLogger(__name__)

NO_STATES: Mapping[str, checkpoint.Tensors] = MappingProxyType({})


@dataclass(frozen=True)
class PartialEpoch:
    """An epoch that was stopped before its end.

    Attributes:
        steps: taken so far.
        totals: sum of losses, correct answers and images so far.
        seconds: spent so far.
    """

    steps: int = 0
    totals: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """The facts in a checkpoint, beside its tensors.

    Attributes:
        epochs: the finished ones.
        digest: of the images, see `Images.digest`.
        partial: the epoch in progress; checkpoints call it `begun`.
    """

    epochs: list[EpochResult]
    digest: str
    partial: Annotated[PartialEpoch, Field(alias="begun")] = field(default_factory=PartialEpoch)


_PROGRESS = TypeAdapter(Progress)


class TrainingState:
    """The epochs of a training, and its two checkpoints: `LAST` to resume from, `BEST` to publish.

    Args:
        run_dir: the folder for checkpoints and `metrics.jsonl`.
        digest: of the images, see `Images.digest`.
        recipe: the number of epochs, early stopping and which epoch is published.
        training_step: the model, the optimizer and everything else that a step changes.
        accelerator: the processes that train together.

    Attributes:
        history: the finished epochs.
        partial: the epoch in progress.
        random_state: of this process's random number generator; set only between a resume in the
            middle of an epoch and its next step.
        device_random_state: of its GPU's generator, likewise; None without a GPU.
    """

    def __init__(
        self,
        run_dir: Path,
        digest: str,
        recipe: RecipeConfig,
        training_step: TrainingStep,
        accelerator: Accelerator,
    ) -> None:
        self.run_dir, self.digest, self.recipe = run_dir, digest, recipe
        self.training_step, self.accelerator = training_step, accelerator
        self.history, self.partial = History(), PartialEpoch()
        self.random_state: torch.Tensor | None = None
        self.device_random_state: torch.Tensor | None = None

    @property
    def best(self) -> EpochResult:
        """The epoch whose weights are published, so far."""
        return self.history.best if self.recipe.keep == "best" else self.history.epochs[-1]

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or early stopping ended the training."""
        return len(self.history.epochs) >= self.recipe.epochs or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Whether validation has not improved for as long as early stopping allows."""
        return self.history.stalled(self.recipe.early_stopping)

    def end_epoch(self, result: EpochResult) -> None:
        """Append a finished epoch and save it."""
        self.history.epochs.append(result)
        self.partial = PartialEpoch()
        self.random_state = self.device_random_state = None
        if self.accelerator.is_main_process:
            self.save()
        self.accelerator.wait_for_everyone()

    def save(self) -> None:
        """Write `BEST` and the log, then `LAST`, which a resumed run trusts."""
        if self.best is self.history.epochs[-1]:
            self._save_best()
        self.history.write(self.run_dir)
        self._save_last()

    def save_partial(self) -> None:
        """Write a checkpoint in the middle of an epoch.

        All processes call this after the same step.
        """
        totals = torch.tensor(self.partial.totals, dtype=torch.float64)
        totals = torch.stack(gathered(totals)).sum(0)
        self.partial = replace(self.partial, totals=tuple(totals.tolist()))
        random_states = {"random": _by_process(torch.get_rng_state())}
        device = self.accelerator.device
        if device.type == "cuda":
            random_states["device_random"] = _by_process(torch.cuda.get_rng_state(device))
        if self.accelerator.is_main_process:
            self._save_last(random_states)
        # A process that ended now would make torchrun stop the one that writes.
        self.accelerator.wait_for_everyone()

    def _save_best(self) -> None:
        weights = self.training_step.eval_weights
        checkpoint.save(self.run_dir / BEST, weights, {"epoch": self.best.epoch})

    def restore_random(self) -> None:
        """Restore the random number generators after a resume in the middle of an epoch."""
        if self.random_state is not None:
            torch.set_rng_state(self.random_state)
        if self.device_random_state is not None:
            torch.cuda.set_rng_state(self.device_random_state, self.accelerator.device)
        self.random_state = self.device_random_state = None

    def _save_last(self, random_states: Mapping[str, checkpoint.Tensors] = NO_STATES) -> None:
        """Write everything that a resumed run needs.

        Args:
            random_states: within an epoch, of the generators in each process, by kind.
        """
        states = self.training_step.states() | dict(random_states)
        progress = Progress(self.history.epochs, self.digest, self.partial)
        facts = _PROGRESS.dump_python(progress, by_alias=True)
        checkpoint.save(self.run_dir / LAST, checkpoint.pack(**states), facts)

    def restore(self) -> None:
        """Resume from `LAST`, if it exists, and check that the weights to publish exist, too.

        Raises:
            DataError: a checkpoint is damaged, or of another version or network.
            ConfigError: it is of other images.
        """
        # Not exists(): a broken link stands for a checkpoint that somebody moved away.
        if os.path.lexists(self.run_dir / LAST):
            self._restore()
        elif (self.run_dir / METRICS).exists():
            logger.warning(
                "%s is missing, so training starts again from the first epoch.", self.run_dir / LAST
            )

    def _restore(self) -> None:
        file = self.run_dir / LAST
        tensors, facts = checkpoint.load(file, "Remove it to train again from the first epoch.")
        progress = _read_progress(file, facts)
        if progress.digest != self.digest:
            raise ConfigError(
                f"The images have changed since the run in {self.run_dir} started. Put the "
                "original ones back, or start a new run."
            )
        try:
            self.training_step.restore(tensors)
        except (RuntimeError, LookupError, ValueError) as error:
            raise DataError(
                f"The checkpoint {file} is of another network, or of another version of this "
                f"program: {error}. Remove it to train again from the first epoch."
            ) from error
        self.history.epochs += progress.epochs
        self.partial = progress.partial
        # The totals are those of all processes, and will be summed over them again.
        if not self.accelerator.is_main_process:
            self.partial = replace(self.partial, totals=PartialEpoch.totals)
        process = str(self.accelerator.process_index)
        self.random_state = checkpoint.unpack(tensors, "random").get(process)
        if self.accelerator.device.type == "cuda":
            self.device_random_state = checkpoint.unpack(tensors, "device_random").get(process)
        self._check_best()
        logger.info(
            "Resuming after epoch %d%s of %s.",
            len(self.history.epochs),
            f" and {self.partial.steps} steps" if self.partial.steps else "",
            self.run_dir,
        )

    def _check_best(self) -> None:
        """Check that the weights to publish exist, before the remaining epochs are trained.

        Where `LAST` holds the same weights, they are written again.
        """
        epochs = self.history.epochs
        if not epochs or (not self.finished and self.recipe.keep == "last"):
            return
        try:
            read_best(self.run_dir, self.best.epoch, next_epoch=len(epochs) + 1)
        except DataError as error:
            if self.best is not epochs[-1] or self.partial.steps:
                raise
            logger.warning("%s\nIt is written again: %s holds the same weights.", error, LAST)
            if self.accelerator.is_main_process:
                self._save_best()
            self.accelerator.wait_for_everyone()


def _by_process(state: torch.Tensor) -> checkpoint.Tensors:
    """Return the state of every process, by its number."""
    return {str(process): each for process, each in enumerate(gathered(state))}


def _read_progress(file: Path, facts: dict[str, object]) -> Progress:
    try:
        return _PROGRESS.validate_python(facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(place) for place in first["loc"])
        raise DataError(
            f"The checkpoint {file} can't be read: another version of this program wrote it "
            f"({where}: {first['msg']}). Remove it to train again from the first epoch."
        ) from error


def read_best(run_dir: Path, epoch: int, next_epoch: int | None = None) -> checkpoint.Tensors:
    """Return the weights of `BEST`.

    Args:
        run_dir: of the training.
        epoch: whose weights they should be.
        next_epoch: the one after the last checkpoint. A kill between the two writes leaves its
            weights; it is then trained again.

    Raises:
        DataError: the file is missing, damaged, or holds the weights of another epoch.
    """
    file = run_dir / BEST
    advice = (
        f"It holds the weights of epoch {epoch}, which are to be published. Put a copy of it back, "
        f"or remove {run_dir / LAST} to train again from the first epoch."
    )
    weights, facts = checkpoint.load(file, advice)
    if facts.get("epoch") not in (epoch, next_epoch):
        raise DataError(
            f"The checkpoint {file} holds the weights of another epoch ({facts.get('epoch')}). "
            f"{advice.replace('It holds', 'It should hold')}"
        )
    return weights
