"""The epoch loop: train, validate, keep the best, write a checkpoint, go on where one ended."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from pydantic import TypeAdapter, ValidationError
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from space.inference.tiling import pool
from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import Images
from trainer.errors import ConfigError, DataError, UserError
from trainer.fitting.inputs import Task
from trainer.fitting.optimizer import highest_rate
from trainer.fitting.step import TrainingStep
from trainer.fitting.time_left import TimeLeft, advice, tested_images
from trainer.inputs.loading import EpochSampler, mixed_seed, stack_tiles
from trainer.monitoring.epoch_log import BEST, LAST, METRICS, EpochResult, History
from trainer.monitoring.progress import LEGEND, ProgressBar, epoch_line, epoch_title
from trainer.monitoring.slowdown import Slowdown
from trainer.monitoring.tracking import track
from trainer.runtime import checkpoint
from trainer.runtime.interruption import StopRequest, leave_to_parent
from trainer.runtime.process_group import gathered, highest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """A finished training: the log, and which epoch's weights were kept (in BEST)."""

    epochs: list[EpochResult]
    best_epoch: int
    stopped_early: bool


@dataclass(frozen=True)
class PartialEpoch:
    """An epoch that was stopped half-way.

    Attributes:
        steps: taken so far.
        totals: sums of loss and of right answers, and images, so far.
        seconds: spent so far.
    """

    steps: int = 0
    totals: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """What a checkpoint says beside its tensors.

    Attributes:
        digest: of the images, see `Images.digest`.
    """

    epochs: list[EpochResult]
    digest: str
    begun: PartialEpoch = field(default_factory=PartialEpoch)


_PROGRESS = TypeAdapter(Progress)


class TrainingLoop:
    """A training under way: its epochs and its checkpoint.

    Args:
        run_dir: where checkpoints and `metrics.jsonl` go.
        trainings_after: how many more trainings like this one the run consists of.
    """

    # Once in a process, however many trainings it runs.
    length_checked = False
    slowdown_reported = False

    def __init__(
        self,
        task: Task,
        images: Images,
        config: TrainConfig,
        run_dir: Path,
        accelerator: Accelerator,
        trainings_after: int = 0,
    ) -> None:
        self.config, self.run_dir, self.accelerator = config, run_dir, accelerator
        recipe = config.recipe
        self.digest = images.digest()
        self.history = History()
        self.begun = PartialEpoch()
        self.random_state: torch.Tensor | None = None
        self.stop = StopRequest(highest if accelerator.num_processes > 1 else None)
        self.sampler = EpochSampler(len(images.parts["train"]), recipe.batch_size, config.run.seed)
        loading: dict[str, Any] = {
            "batch_size": recipe.batch_size,
            "num_workers": config.run.workers,
            "collate_fn": stack_tiles,
            "persistent_workers": config.run.workers > 0,
            "worker_init_fn": leave_to_parent,
            "pin_memory": accelerator.device.type == "cuda",
        }
        self.prepare = task.prepare.to(accelerator.device)
        self.train_batches, self.validation_batches = accelerator.prepare(
            DataLoader(task.train, sampler=self.sampler, **loading),
            DataLoader(task.validation, **loading),
        )
        self.left = TimeLeft(
            recipe.epochs,
            len(self.sampler),
            len(images.parts["validation"]),
            tested_images(config, images),
            trainings_after,
            task.image_s,
        )
        self.slowdown = Slowdown()
        self.steps = math.ceil(len(self.train_batches) / recipe.accumulate)
        self.learner = TrainingStep(
            task,
            images,
            recipe,
            self.steps,
            accelerator,
            compile_network=config.run.compile,
        )

    @property
    def best(self) -> EpochResult:
        """The epoch whose weights are published, so far."""
        keep_best = self.config.recipe.keep == "best"
        return self.history.best if keep_best else self.history.epochs[-1]

    @property
    def stopped_early(self) -> bool:
        """Whether validation has not improved for as long as early stopping allows."""
        return self.history.stalled(self.config.recipe.early_stopping)

    def run(self) -> TrainingResult:
        """Train to the last epoch, from the last checkpoint if there is one.

        Ctrl-C, SIGTERM or SIGHUP end it after the step under way, with a checkpoint from which it
        goes on.

        Raises:
            DataError: a checkpoint is damaged.
            ConfigError: the checkpoint is of other images.
            UserError: the loss is no number any more.
            Stopped: a signal stopped it; the checkpoint is written.
        """
        epochs = self.history.epochs
        # Not exists(): a link that leads nowhere stands for a checkpoint that somebody moved away.
        if os.path.lexists(self.run_dir / LAST):
            self._restore()
        elif (self.run_dir / METRICS).exists():
            logger.warning(
                "%s is missing, so training starts again from the first epoch.", self.run_dir / LAST
            )
        logger.info("%s", LEGEND)
        with self.stop.listening():
            while len(epochs) < self.config.recipe.epochs and not self.stopped_early:
                self._run_epoch(len(epochs) + 1)
                if self.stop.asked():
                    self.stop.grant()
        return TrainingResult(epochs, self.best.epoch, self.stopped_early)

    def _run_epoch(self, epoch: int) -> None:
        start = time.monotonic() - self.begun.seconds
        train_loss, train_accuracy, images = self._train(epoch, start)
        train_s = time.monotonic() - start
        validation_loss, validation_accuracy = self._validate()
        self.left.end_epoch(train_s, time.monotonic() - start - train_s)
        if not math.isfinite(train_loss + validation_loss):
            kept = (
                f" The checkpoint of epoch {epoch - 1} is in {self.run_dir}." if epoch > 1 else ""
            )
            raise UserError(
                f"The loss is no longer a number in epoch {epoch}. Start again with a lower --lr, "
                f"or with --clip-grad 1.{kept}"
            )
        result = EpochResult(
            epoch=epoch,
            lr=highest_rate(self.learner.optimizer),
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.monotonic() - start,
        )
        self.history.epochs.append(result)
        self.begun, self.random_state = PartialEpoch(), None
        if self.accelerator.is_main_process:
            self._save()
        self.accelerator.wait_for_everyone()
        track(self.accelerator, result, images / train_s)
        line = epoch_line(
            result,
            self.config.recipe.epochs,
            best=self.history.best is result,
            images_per_second=images / train_s,
            run_s=self.left.run_s or 0.0,
        )
        logger.info("%s", line)
        self._warn_if_long()

    def _train(self, epoch: int, start: float) -> tuple[float, float, float]:
        """Take the steps of one epoch; return mean loss, accuracy, and over how many images."""
        recipe, processes = self.config.recipe, self.accelerator.num_processes
        taken = self.begun.steps
        done = taken * recipe.batch_size * recipe.accumulate
        self.sampler.epoch, self.sampler.first = epoch, done
        torch.manual_seed(mixed_seed(self.config.run.seed, epoch, self.accelerator.process_index))
        totals: Any = torch.tensor(self.begun.totals, dtype=torch.float64)
        before = (epoch - 1) * self.steps
        if taken:
            # The rate of the last step taken, in case that none is left.
            self.learner.schedule.step_update(before + taken - 1)
        self.left.start_epoch(epoch - 1, done)
        self.slowdown.start_epoch()
        with self._bar(epoch_title(epoch, recipe.epochs), len(self.sampler), done) as bar:
            for batches in grouped(self.train_batches, recipe.accumulate):
                if self.random_state is not None:
                    # Not before: starting the loader draws a number, too.
                    torch.set_rng_state(self.random_state)
                    self.random_state = None
                step = self.learner.step(batches, before + taken)
                totals = totals.to(step) + step
                taken += 1
                if self.stop.asked():
                    self.begun = PartialEpoch(
                        taken, tuple(totals.tolist()), time.monotonic() - start
                    )
                    self._stop()
                images = processes * sum(len(batch.targets) for batch in batches)
                now_s = time.monotonic()
                self.left.step(images, now_s)
                self._report_slowdown(self.slowdown.step(images, now_s))
                bar.advance(images, totals, self.left.run_s)
                if self.left.certain:
                    self._warn_if_long()
        # Until validation has ended, the epoch has not.
        self.begun = PartialEpoch(taken, tuple(totals.tolist()), time.monotonic() - start)
        loss, right, trained = self.accelerator.reduce(totals).tolist()
        return loss / trained, right / trained, trained

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        """Return mean cross entropy (plain, whatever the training's) and accuracy."""
        model = self.learner.judged
        model.eval()
        losses, rights = [], []
        with self._bar("validation", len(self.validation_batches.dataset)) as bar:
            for batch in self.validation_batches:
                if self.stop.asked():
                    self._stop()
                with self.accelerator.autocast():
                    outputs = model(self.prepare(batch.inputs)).float()
                answers = pool(outputs, batch.counts), batch.targets
                outputs, targets = self.accelerator.gather_for_metrics(answers)
                losses.append(cross_entropy(outputs, targets, reduction="none"))
                rights.append(outputs.argmax(1) == targets)
                bar.advance(len(targets))
        return torch.cat(losses).mean().item(), torch.cat(rights).double().mean().item()

    def _bar(self, title: str, images: int, done: int = 0) -> ProgressBar:
        return ProgressBar(title, images, done=done, shown=self.accelerator.is_main_process)

    def _warn_if_long(self) -> None:
        """Warn once where a processor would take hours, and say what takes less."""
        whole = self.config.model.tune == "all"
        if TrainingLoop.length_checked or not whole or self.accelerator.device.type != "cpu":
            return
        TrainingLoop.length_checked = True
        parameters = sum(weights.numel() for weights in self.learner.judged.parameters())
        warning = advice(self.left, self.config, parameters)
        if warning:
            _log_beside_bar(warning)

    def _report_slowdown(self, hint: str | None) -> None:
        """Log once in a process that training became slow."""
        if hint and not TrainingLoop.slowdown_reported:
            TrainingLoop.slowdown_reported = True
            _log_beside_bar(hint)

    def _save(self) -> None:
        """Write what is kept, the log, and `last`, which a resumed run believes, at the end."""
        if self.best is self.history.epochs[-1]:
            self._save_best()
        self.history.write(self.run_dir)
        self._save_last()

    def _save_best(self) -> None:
        checkpoint.save(self.run_dir / BEST, self.learner.eval_weights, {"epoch": self.best.epoch})

    def _stop(self) -> None:
        """Write a checkpoint in the middle of an epoch, and end the run as a signal asked.

        All processes call this after the same step.
        """
        totals = torch.tensor(self.begun.totals, dtype=torch.float64)
        totals = torch.stack(gathered(totals)).sum(0)
        self.begun = replace(self.begun, totals=tuple(totals.tolist()))
        random_states = enumerate(gathered(torch.get_rng_state()))
        if self.accelerator.is_main_process:
            self._save_last({str(process): state for process, state in random_states})
        # A process that ended now would make torchrun stop the one that writes.
        self.accelerator.wait_for_everyone()
        self.stop.grant()

    def _save_last(self, random_states: checkpoint.Tensors | None = None) -> None:
        """Write all that a resumed run needs.

        Args:
            random_states: of the random number generator in each process, within an epoch.
        """
        states = self.learner.states()
        if random_states:
            states["random"] = random_states
        progress = Progress(self.history.epochs, self.digest, self.begun)
        checkpoint.save(self.run_dir / LAST, checkpoint.pack(**states), asdict(progress))

    def _restore(self) -> None:
        """Continue from `LAST`; make sure first that all that the rest of the run needs is there.

        Raises:
            DataError: a checkpoint is damaged, or of another version or network.
            ConfigError: it is of other images.
        """
        file = self.run_dir / LAST
        tensors, facts = checkpoint.load(file, "Remove it to train again from the first epoch.")
        try:
            progress = _PROGRESS.validate_python(facts)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(place) for place in first["loc"])
            raise DataError(
                f"The checkpoint {file} can't be read: another version of this program wrote it "
                f"({where}: {first['msg']}). Remove it to train again from the first epoch."
            ) from error
        if progress.digest != self.digest:
            raise ConfigError(
                f"The images are not those that the run in {self.run_dir} began with. Put them "
                "back, or start a new run."
            )
        try:
            self.learner.restore(tensors)
        except (RuntimeError, LookupError, ValueError) as error:
            raise DataError(
                f"The checkpoint {file} is of another network, or of another version of this "
                f"program: {error}. Remove it to train again from the first epoch."
            ) from error
        self.history.epochs += progress.epochs
        self.begun = progress.begun
        # The sums are those of all processes, and will be added up again.
        if not self.accelerator.is_main_process:
            self.begun = replace(self.begun, totals=PartialEpoch.totals)
        process = str(self.accelerator.process_index)
        self.random_state = checkpoint.unpack(tensors, "random").get(process)
        self._check_best()
        logger.info(
            "Going on after epoch %d%s of %s.",
            len(self.history.epochs),
            f" and {self.begun.steps} steps" if self.begun.steps else "",
            self.run_dir,
        )

    def _check_best(self) -> None:
        """Make sure that the weights to publish are there, before the rest is trained.

        Where `LAST` holds the same weights, they are written again.
        """
        epochs, begun = self.history.epochs, self.begun.steps > 0
        unfinished = len(epochs) < self.config.recipe.epochs and not self.stopped_early
        if not epochs or (unfinished and self.config.recipe.keep == "last"):
            return
        try:
            read_best(self.run_dir, self.best.epoch, next_epoch=len(epochs) + 1)
        except DataError as error:
            if self.best is not epochs[-1] or begun:
                raise
            logger.warning("%s\nIt is written again: %s holds the same weights.", error, LAST)
            if self.accelerator.is_main_process:
                self._save_best()
            self.accelerator.wait_for_everyone()


def _log_beside_bar(warning: str) -> None:
    """Log on lines of their own, not behind the bar."""
    with ProgressBar.external_write_mode():
        logger.warning("%s", warning)


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


def grouped(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of so many batches; the last may hold fewer."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group
