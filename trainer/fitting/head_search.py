"""Fit a head once for each of a few weight decays; keep the one that suits validation best."""

from __future__ import annotations

import copy
import logging
import shutil
from dataclasses import replace
from pathlib import Path

from trainer.config.run_folder import RunContext
from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import Images
from trainer.fitting.inputs import Task
from trainer.fitting.loop import TrainingLoop, TrainingResult
from trainer.monitoring.epoch_log import BEST, LAST, METRICS, EpochResult
from trainer.monitoring.phases import PHASES
from trainer.monitoring.tracking import tracking

logger = logging.getLogger(__name__)

HEADS_DIR = "heads"
# A head on a frozen backbone learns slowly, and a decay works by its product with the rate: what
# holds back a whole network is hardly felt by a head.
FACTORS = (1, 100, 1000)


def fit_heads(
    task: Task, images: Images, config: TrainConfig, context: RunContext
) -> tuple[TrainingResult, TrainConfig]:
    """Fit a head for each weight decay; put the best one's checkpoints into the run folder.

    Each has a folder of its own, with which it goes on after a stop.

    Returns:
        the fit that was kept, and the settings that lead to it alone.
    """
    run_dir, accelerator = context.run_dir, context.accelerator
    tried: list[tuple[EpochResult, TrainingResult, TrainConfig, Path]] = []
    for factor in FACTORS:
        decay = factor * config.recipe.weight_decay
        recipe = replace(config.recipe, weight_decay=decay, search_decay=False)
        alone = replace(config, recipe=recipe)
        folder = run_dir / HEADS_DIR / f"{decay:g}"
        folder.mkdir(parents=True, exist_ok=True)
        logger.info("Weight decay %g", decay)
        with tracking(alone, replace(context, run_dir=folder)):
            fit = TrainingLoop(
                replace(task, model=copy.deepcopy(task.model)),
                images,
                alone,
                folder,
                accelerator,
                trainings_after=PHASES.left("train"),
            ).run()
        # Otherwise accelerate would keep all heads.
        accelerator.free_memory()
        tried.append((fit.epochs[fit.best_epoch - 1], fit, alone, folder))
    best, fit, alone, folder = max(
        tried, key=lambda t: (t[0].validation_accuracy, -t[0].validation_loss)
    )
    logger.info(
        "Weight decay %g suits the validation images best: accuracy %.1f %%, loss %.4f",
        alone.recipe.weight_decay,
        100 * best.validation_accuracy,
        best.validation_loss,
    )
    if accelerator.is_main_process:
        for name in (LAST, BEST, METRICS):
            shutil.copyfile(folder / name, run_dir / name)
    accelerator.wait_for_everyone()
    return fit, alone
