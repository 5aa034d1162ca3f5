"""The training loop: train an epoch, validate, save, repeat; resume where a checkpoint ended."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader

from trainer.config.groups import RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.config.run_folder import RunContext
from trainer.data.splits.dataset import Images
from trainer.errors import UserError
from trainer.fitting.graphs import GraphedSteps, graphs_fit
from trainer.fitting.inputs import FitInputs
from trainer.fitting.optimizer import highest_rate
from trainer.fitting.state import PartialEpoch, TrainingState
from trainer.fitting.step import TrainingStep
from trainer.fitting.time_left import TimeLeft, Workload, advice
from trainer.inputs.draws import mixed_seed
from trainer.inputs.held import HeldImages, fits_device
from trainer.inputs.loading import EpochSampler, TrainingImages, stack_tiles
from trainer.model.compilation import keep_kernels
from trainer.model.cost import worth_compiling
from trainer.model.tile_pooling import pool
from trainer.monitoring.busy_cores import ThreadLimit
from trainer.monitoring.epoch_log import EpochResult
from trainer.monitoring.progress import LEGEND, ProgressBar, epoch_line, epoch_title
from trainer.monitoring.slowdown import Slowdown
from trainer.monitoring.tracking import track
from trainer.runtime.cache import cache_folder
from trainer.runtime.interruption import StopRequest, leave_to_parent
from trainer.runtime.process_group import highest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """A finished training: its log, and the epoch whose weights are published (in `BEST`)."""

    epochs: list[EpochResult]
    best_epoch: int
    stopped_early: bool


class TrainingLoop:
    """A training: its data loaders, its steps and its state.

    Args:
        inputs: the model and the data to fit it to.
        images: of the run.
        recipe: of the training.
        run: the seed, the processes that load images, and whether to compile the network.
        context: the folder for checkpoints and `metrics.jsonl`, the device and the processes.
        work: the size of the whole run, to estimate its time.
        on_epoch: called after each saved epoch; may end the training with an exception.
    """

    # Both warnings appear once in a process, however many trainings it runs.
    length_checked = False
    slowdown_reported = False

    def __init__(
        self,
        inputs: FitInputs,
        images: Images,
        recipe: RecipeConfig,
        run: RunConfig,
        context: RunContext,
        work: Workload,
        on_epoch: Callable[[EpochResult], None] | None = None,
    ) -> None:
        self.recipe, self.seed, self.run_dir = recipe, run.seed, context.run_dir
        self.on_epoch = on_epoch
        self.accelerator = accelerator = context.accelerator
        self.stop = StopRequest(highest if accelerator.num_processes > 1 else None)
        self.sampler = EpochSampler(len(images.splits["train"]), recipe.batch_size, run.seed)
        loading: dict[str, Any] = {
            "batch_size": recipe.batch_size,
            "num_workers": run.workers,
            "collate_fn": stack_tiles,
            "persistent_workers": run.workers > 0,
            "worker_init_fn": leave_to_parent,
            "pin_memory": accelerator.device.type == "cuda",
        }
        self.prepare = inputs.prepare.to(accelerator.device)
        self.train_batches, self.validation_batches = accelerator.prepare(
            DataLoader(inputs.train, sampler=self.sampler, **loading),
            DataLoader(inputs.validation, **loading),
        )
        train, device = inputs.train, accelerator.device
        single = accelerator.num_processes == 1
        if single and isinstance(train, TrainingImages) and fits_device(train, device):
            self.train_batches = HeldImages(train, self.sampler, recipe.batch_size, device)
        self.left = TimeLeft(work, recipe.epochs, inputs.image_s)
        self.slowdown = Slowdown()
        graphs = run.graphs and graphs_fit(accelerator)
        self.threads = ThreadLimit(accelerator, compiled=run.compile)
        self.steps = math.ceil(len(self.train_batches) / recipe.accumulate)
        self.training_step = TrainingStep(
            inputs,
            images,
            recipe,
            self.steps,
            accelerator,
            compile_network=run.compile and not graphs,
        )
        self.take_step = self.training_step.step
        if graphs:
            keep_kernels(cache_folder("kernels", run.cache_dir))
            seen = recipe.epochs * len(images.splits["train"])
            worth = run.compile or worth_compiling(self.training_step.network, work.side_px, seen)
            self.take_step = GraphedSteps(self.training_step, compile_blocks=worth).step
        self.state = TrainingState(
            context.run_dir, images.digest(), recipe, self.training_step, accelerator
        )

    def run(self) -> TrainingResult:
        """Train to the last epoch, from the last checkpoint if there is one.

        Ctrl-C, SIGTERM or SIGHUP end it after the current step, with a checkpoint from which it
        resumes.

        Raises:
            DataError: a checkpoint is damaged.
            ConfigError: the checkpoint is of other images.
            UserError: the loss is not a number.
            Stopped: a signal stopped it; the checkpoint is written.
        """
        self.state.restore()
        epochs = self.state.history.epochs
        logger.info("%s", LEGEND)
        try:
            with self.stop.listening():
                while not self.state.finished:
                    self._run_epoch(len(epochs) + 1)
                    if self.stop.asked():
                        self.stop.grant()
        finally:
            self.threads.end()
        return TrainingResult(epochs, self.state.best.epoch, self.state.stopped_early)

    def _run_epoch(self, epoch: int) -> None:
        start = time.monotonic() - self.state.partial.seconds
        train_loss, train_accuracy, images = self._train(epoch, start)
        train_s = time.monotonic() - start
        validation_loss, validation_accuracy = self._validate()
        self.left.end_epoch(train_s, time.monotonic() - start - train_s)
        if not math.isfinite(train_loss + validation_loss):
            saved = (
                f" The checkpoint of epoch {epoch - 1} is in {self.run_dir}." if epoch > 1 else ""
            )
            raise UserError(
                f"The loss is no longer a number in epoch {epoch}. Start again with a lower --lr, "
                f"or with --clip-grad 1.{saved}"
            )
        result = EpochResult(
            epoch=epoch,
            lr=highest_rate(self.training_step.optimizer),
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.monotonic() - start,
        )
        self.state.end_epoch(result)
        track(self.accelerator, result, images / train_s)
        line = epoch_line(
            result,
            self.recipe.epochs,
            best=self.state.history.best is result,
            images_per_second=images / train_s,
            run_s=self.left.run_s or 0.0,
        )
        logger.info("%s", line)
        self._warn_if_long()
        if self.on_epoch:
            self.on_epoch(result)

    def _train(self, epoch: int, start: float) -> tuple[float, float, float]:
        """Take the steps of one epoch; return mean loss, accuracy and the number of images."""
        recipe, processes = self.recipe, self.accelerator.num_processes
        state = self.state
        taken = state.partial.steps
        done = taken * recipe.batch_size * recipe.accumulate
        self.sampler.epoch, self.sampler.first = epoch, done
        torch.manual_seed(mixed_seed(self.seed, epoch, self.accelerator.process_index))
        totals: Any = torch.tensor(state.partial.totals, dtype=torch.float64)
        before = (epoch - 1) * self.steps
        if taken:
            # Set the rate of the last step, in case no step is left in this epoch.
            self.training_step.schedule.step_update(before + taken - 1)
        self.left.start_epoch(epoch - 1, done)
        self.slowdown.start_epoch()
        with self._bar(epoch_title(epoch, recipe.epochs), len(self.sampler), done) as bar:
            for batches in grouped(self.train_batches, recipe.accumulate):
                if state.random_state is not None:
                    # Restore only now: starting the data loader consumes a random number.
                    state.restore_random()
                step = self.take_step(batches, before + taken)
                totals = totals.to(step) + step
                taken += 1
                if self.stop.asked():
                    state.partial = PartialEpoch(
                        taken, tuple(totals.tolist()), time.monotonic() - start
                    )
                    self._stop()
                images = processes * sum(len(batch.targets) for batch in batches)
                now_s = time.monotonic()
                self.left.step(images, now_s)
                self._report_slowdown(self.slowdown.step(images, now_s))
                if warning := self.threads.step(now_s):
                    _log_beside_bar(warning)
                bar.advance(images, totals, self.left.run_s)
                if self.left.certain:
                    self._warn_if_long()
        # The epoch is not finished before its validation.
        state.partial = PartialEpoch(taken, tuple(totals.tolist()), time.monotonic() - start)
        loss, correct, trained = self.accelerator.reduce(totals).tolist()
        return loss / trained, correct / trained, trained

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        """Return mean cross entropy (plain, whatever the training loss is) and accuracy."""
        model = self.training_step.eval_model
        model.eval()
        losses, hits = [], []
        with self._bar("validation", len(self.validation_batches.dataset)) as bar:
            for batch in self.validation_batches:
                if self.stop.asked():
                    self._stop()
                with self.accelerator.autocast():
                    outputs = model(self.prepare(batch.inputs)).float()
                pooled = pool(outputs, batch.counts), batch.targets
                outputs, targets = self.accelerator.gather_for_metrics(pooled)
                losses.append(self.training_step.plain_loss(outputs, targets))
                hits.append(self.training_step.correct(outputs, targets))
                bar.advance(len(targets))
        return torch.cat(losses).mean().item(), torch.cat(hits).double().mean().item()

    def _stop(self) -> None:
        """Save the epoch in progress and end the run, as a signal asked."""
        self.state.save_partial()
        self.stop.grant()

    def _bar(self, title: str, images: int, done: int = 0) -> ProgressBar:
        return ProgressBar(title, images, done=done, shown=self.accelerator.is_main_process)

    def _warn_if_long(self) -> None:
        """Warn once if a CPU would take hours, and name faster settings."""
        # A head takes seconds; the passes of its features through the network are over by then.
        head = self.left.test_image_s is not None
        if TrainingLoop.length_checked or head or self.accelerator.device.type != "cpu":
            return
        TrainingLoop.length_checked = True
        parameters = sum(weights.numel() for weights in self.training_step.eval_model.parameters())
        warning = advice(self.left, parameters)
        if warning:
            _log_beside_bar(warning)

    def _report_slowdown(self, hint: str | None) -> None:
        """Log once in a process that training became slow."""
        if hint and not TrainingLoop.slowdown_reported:
            TrainingLoop.slowdown_reported = True
            _log_beside_bar(hint)


def _log_beside_bar(warning: str) -> None:
    """Log a warning on its own lines instead of at the end of the progress bar."""
    with ProgressBar.external_write_mode():
        logger.warning("%s", warning)


def grouped(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of `size` batches; the last may hold fewer."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group
