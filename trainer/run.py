"""One run, from its images to the published folder, or resumed after an interruption.

torch and the libraries of training are imported where they are first used, so that mistakes in the
settings and in the images are reported early.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.config.run_folder import (
    PUBLISHED_DIR,
    RunContext,
    State,
    check_entries,
    check_start,
    finished_folder,
    not_writable,
    note_resume,
    note_start,
    read_start,
    remove_leftovers,
    state_of,
)
from trainer.config.run_lock import explained_failures, only_training_in
from trainer.config.settings import CONFIG_FILE, TrainConfig
from trainer.data.image_record import note_images
from trainer.data.splits.dataset import Images, prepare_images
from trainer.decision.rules import check_no_defect
from trainer.errors import ConfigError
from trainer.evaluation import ood_images
from trainer.inputs.shapes import report_shapes, tile_counts
from trainer.monitoring.phases import PHASES
from trainer.publishing.facts import correct_facts
from trainer.publishing.published import check_published
from trainer.runtime import system
from trainer.runtime.invocation import command_line

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)


def train(config: TrainConfig) -> Path:
    """Train, export, score and describe a model; return the folder that is ready to publish.

    Raises:
        UserError: the data, the settings or the Hub can't be used.
    """
    from accelerate import Accelerator
    from accelerate.utils import DataLoaderConfiguration, broadcast_object_list

    from trainer.model.precision import choose_precision

    accelerator = Accelerator(
        mixed_precision=choose_precision(config.run),
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )
    _check_machine(config, accelerator)
    if accelerator.device.type == "cpu":
        system.keep_freed_memory()
    # Under `accelerate launch` one process logs and writes for all.
    if not accelerator.is_main_process:
        logging.getLogger("trainer").setLevel(logging.ERROR)
    run_dir = _run_dir(config)
    if accelerator.is_main_process and not config.run.resume:
        check_start(run_dir)
    accelerator.wait_for_everyone()
    with ExitStack() as held:
        # A new folder is created and locked after the images are checked.
        locked = (run_dir / CONFIG_FILE).exists()
        if accelerator.is_main_process and locked:
            held.enter_context(only_training_in(run_dir))
        # Another training may have finished the run meanwhile; one process checks for all.
        [finished] = broadcast_object_list([finished_folder(run_dir)])
        if finished:
            check_published(finished)
            logger.info("The run in %s is finished already.", run_dir)
        else:
            with explained_failures(run_dir), _stop_explained(run_dir, accelerator):
                _train_in(run_dir, config, accelerator, None if locked else held)
    accelerator.end_training()
    return run_dir / PUBLISHED_DIR


@contextmanager
def _stop_explained(run_dir: Path, accelerator: Accelerator) -> Iterator[None]:
    """Log how to resume a run that a signal stopped at any point."""
    try:
        yield
    except KeyboardInterrupt:
        if not (run_dir / CONFIG_FILE).exists():
            logger.warning("\nStopped before anything was written.")
            raise
        logger.warning(
            "\nStopped; the progress is saved. Resume with:\n  %s --run-dir %s --resume",
            command_line("train.py", accelerator.num_processes),
            run_dir,
        )
        raise


def _check_machine(config: TrainConfig, accelerator: Accelerator) -> None:
    """Check, before anything is written, that this machine supports the settings."""
    batch_size, processes = config.recipe.batch_size, accelerator.num_processes
    if batch_size % processes:
        raise ConfigError(
            f"--batch-size {batch_size} can't be shared equally by {processes} processes. "
            "Choose a multiple."
        )
    from trainer.monitoring.tracking import check_tracker

    check_tracker(config.run)
    if config.run.find_batch_size:
        from trainer.fitting.batch_size import check_gpu

        check_gpu(accelerator.device)
    if config.run.compile:
        from trainer.model.compilation import check_compiler

        check_compiler(accelerator.device)


def _train_in(
    run_dir: Path, config: TrainConfig, accelerator: Accelerator, locks: ExitStack | None
) -> None:
    """Split the images and train on each split; before that, nothing is written.

    `locks` receives the lock of a new folder; None if the folder is locked already.
    """
    check_entries(run_dir)
    resuming = state_of(run_dir) is State.UNFINISHED
    with accelerator.main_process_first():
        if accelerator.is_main_process:
            prepared = _prepare(config, run_dir if resuming else None)
            _check_images(config, prepared)
            _open_run(run_dir, config, locks, resuming=resuming)
            if not resuming:
                note_images(run_dir, prepared[0].data_contents, config.data)
                if prepared[0].feedback:
                    prepared[0].feedback.write(run_dir)
            if prepared[0].surfaces:
                prepared[0].surfaces.write(run_dir)
        else:
            prepared = _prepare(config, run_dir)
    context = RunContext(run_dir, read_start(run_dir), accelerator)
    sizes = [size for split in prepared[0].splits.values() for size in split["size_px"][:]]
    report_shapes(sizes, tile=config.model.tile)
    if config.run.find_batch_size:
        from trainer.fitting.batch_size import resolve_batch_size

        most_tiles = max(tile_counts(sizes, tile=config.model.tile))
        recipe = resolve_batch_size(
            config.model, config.recipe, len(prepared[0].labels), most_tiles, accelerator
        )
        config = replace(config, recipe=recipe, run=replace(config.run, find_batch_size=False))
        if accelerator.is_main_process:
            _write_settings(config, run_dir)
    if config.data.folds:
        _cross_validate(config, prepared, context)
    else:
        from trainer import training

        training.train_on(prepared[0], config, context)


def _cross_validate(config: TrainConfig, folds: list[Images], context: RunContext) -> None:
    """Train each fold in its own folder; publish the first one with the results of all."""
    from trainer import training
    from trainer.publishing import folds as published_folds

    run_dir, accelerator = context.run_dir, context.accelerator
    fold_dirs = [run_dir / f"fold-{number}" for number in range(1, len(folds) + 1)]
    for images, fold_dir in zip(folds, fold_dirs, strict=True):
        if (finished := finished_folder(fold_dir)) is not None:
            check_published(finished)
            PHASES.skip("train", "test", "card")
            continue
        fold_dir.mkdir(exist_ok=True)
        training.train_on(images, config, replace(context, run_dir=fold_dir))
        # Otherwise accelerate would hold references to the models of all folds.
        accelerator.free_memory()
    if accelerator.is_main_process:
        published_folds.publish(
            folds,
            fold_dirs,
            run_dir,
            config.decision,
            network_saw_left_out=config.model.tune == "all",
        )
    accelerator.wait_for_everyone()


def _prepare(config: TrainConfig, run_dir: Path | None) -> list[Images]:
    return prepare_images(config.data, config.run, config.checks.boxes, run_dir)


def _check_images(config: TrainConfig, prepared: list[Images]) -> None:
    """Check the settings and folders that depend on the images."""
    check_no_defect(config.decision, prepared[0].labels)
    if config.decision.ood_dir is not None:
        ood_images.check_folder(config.decision.ood_dir, prepared[0].bit_depth)


def _run_dir(config: TrainConfig) -> Path:
    """Return the run folder, the same for all processes."""
    from accelerate.utils import broadcast_object_list

    name = f"{config.model.model.replace('/', '_')}-{datetime.now():%Y%m%d-%H%M%S}"
    # The clocks of several machines may differ: all processes use the first one's name.
    run_dir: Path
    [run_dir] = broadcast_object_list([config.run.run_dir or Path("runs") / name])
    return run_dir


def _open_run(
    run_dir: Path, config: TrainConfig, locks: ExitStack | None, *, resuming: bool
) -> None:
    """Create the run folder and its `config.json`, or correct the facts of a resumed run.

    Raises:
        ConfigError: it is not writable, or another training is, or was, running there.
    """
    if resuming:
        note_resume(run_dir)
        correct_facts(
            run_dir, license_id=config.model.license, publish_images=config.data.publish_images
        )
        return
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        if locks is not None:
            locks.enter_context(only_training_in(run_dir))
            check_start(run_dir)
        remove_leftovers(run_dir)
        _write_settings(config, run_dir)
        note_start(run_dir)
    except OSError as error:
        raise not_writable(run_dir, error) from error


def _write_settings(config: TrainConfig, run_dir: Path) -> None:
    replace(config, run=replace(config.run, run_dir=run_dir, resume=False)).write(run_dir)
