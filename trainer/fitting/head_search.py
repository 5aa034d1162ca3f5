"""Search the weight decay of a head: fit it with each of a few values, and choose by validation."""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trainer.config.recipe import RecipeConfig
from trainer.config.run_folder import RunContext
from trainer.fitting.inputs import FitInputs
from trainer.fitting.loop import TrainingResult
from trainer.monitoring.epoch_log import BEST, LAST, METRICS, EpochResult

logger = logging.getLogger(__name__)

HEADS_DIR = "heads"
# A head is trained for few steps, and AdamW multiplies the decay by the learning rate: a decay that
# regularizes a whole network hardly changes a head.
FACTORS = (1, 100, 1000)

Train = Callable[[FitInputs, RecipeConfig, RunContext], TrainingResult]


def fit_heads(
    inputs: FitInputs, recipe: RecipeConfig, context: RunContext, train: Train
) -> tuple[TrainingResult, RecipeConfig]:
    """Fit a head for each weight decay; copy the checkpoints of the best one into the run folder.

    Each head has its own folder, from which it resumes after a stop.

    Args:
        inputs: the head and its features.
        recipe: with the smallest weight decay.
        context: of the run.
        train: fits one head with a recipe, in the folder of a context.

    Returns:
        the best training result, and the recipe that reproduces it.
    """
    run_dir, accelerator = context.run_dir, context.accelerator
    trials: list[tuple[EpochResult, TrainingResult, RecipeConfig, Path]] = []
    for factor in FACTORS:
        decay = factor * recipe.weight_decay
        tried = replace(recipe, weight_decay=decay, search_decay=False)
        folder = run_dir / HEADS_DIR / f"{decay:g}"
        folder.mkdir(parents=True, exist_ok=True)
        logger.info("Weight decay %g", decay)
        head = replace(inputs, model=copy.deepcopy(inputs.model))
        fit = train(head, tried, replace(context, run_dir=folder))
        # Otherwise accelerate would hold references to all heads.
        accelerator.free_memory()
        trials.append((fit.epochs[fit.best_epoch - 1], fit, tried, folder))
    best, fit, found, folder = max(
        trials, key=lambda t: (t[0].validation_accuracy, -t[0].validation_loss)
    )
    logger.info(
        "Weight decay %g is best on the validation images: accuracy %.1f %%, loss %.4f",
        found.weight_decay,
        100 * best.validation_accuracy,
        best.validation_loss,
    )
    if accelerator.is_main_process:
        for name in (LAST, BEST, METRICS):
            shutil.copyfile(folder / name, run_dir / name)
    accelerator.wait_for_everyone()
    return fit, found
