"""Search the weight decay of a head: fit it with each of a few values, and choose by validation."""

from __future__ import annotations

import copy
import logging
import shutil
from dataclasses import replace
from pathlib import Path

from trainer.config.run_folder import RunContext
from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import Images
from trainer.fitting.inputs import FitInputs
from trainer.fitting.loop import TrainingLoop, TrainingResult
from trainer.monitoring.epoch_log import BEST, LAST, METRICS, EpochResult
from trainer.monitoring.phases import PHASES
from trainer.monitoring.tracking import tracking

logger = logging.getLogger(__name__)

HEADS_DIR = "heads"
# A head is trained for few steps, and AdamW multiplies the decay by the learning rate: a decay that
# regularizes a whole network hardly changes a head.
FACTORS = (1, 100, 1000)


def fit_heads(
    inputs: FitInputs, images: Images, config: TrainConfig, context: RunContext
) -> tuple[TrainingResult, TrainConfig]:
    """Fit a head for each weight decay; copy the checkpoints of the best one into the run folder.

    Each head has its own folder, from which it resumes after a stop.

    Returns:
        the best training result, and the settings that reproduce it.
    """
    run_dir, accelerator = context.run_dir, context.accelerator
    trials: list[tuple[EpochResult, TrainingResult, TrainConfig, Path]] = []
    for factor in FACTORS:
        decay = factor * config.recipe.weight_decay
        recipe = replace(config.recipe, weight_decay=decay, search_decay=False)
        settings = replace(config, recipe=recipe)
        folder = run_dir / HEADS_DIR / f"{decay:g}"
        folder.mkdir(parents=True, exist_ok=True)
        logger.info("Weight decay %g", decay)
        with tracking(settings, replace(context, run_dir=folder)):
            fit = TrainingLoop(
                replace(inputs, model=copy.deepcopy(inputs.model)),
                images,
                settings,
                folder,
                accelerator,
                trainings_after=PHASES.left("train"),
            ).run()
        # Otherwise accelerate would hold references to all heads.
        accelerator.free_memory()
        trials.append((fit.epochs[fit.best_epoch - 1], fit, settings, folder))
    best, fit, settings, folder = max(
        trials, key=lambda t: (t[0].validation_accuracy, -t[0].validation_loss)
    )
    logger.info(
        "Weight decay %g is best on the validation images: accuracy %.1f %%, loss %.4f",
        settings.recipe.weight_decay,
        100 * best.validation_accuracy,
        best.validation_loss,
    )
    if accelerator.is_main_process:
        for name in (LAST, BEST, METRICS):
            shutil.copyfile(folder / name, run_dir / name)
    accelerator.wait_for_everyone()
    return fit, settings
