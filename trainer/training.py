"""Training on one split of the images, and the published folder of its best epoch."""

from __future__ import annotations

import logging
import shutil
import textwrap
from dataclasses import replace

import torch

from model_card.formatting import shortlist
from trainer.config.recipe import RecipeConfig
from trainer.config.run_folder import RunContext
from trainer.config.settings import TrainConfig
from trainer.data.images.decoding import decoded_once
from trainer.data.splits.dataset import Images
from trainer.data.splits.split import write_split
from trainer.fitting.head_search import fit_heads
from trainer.fitting.inputs import PIXELS_DIR, FitInputs, head_inputs, image_inputs
from trainer.fitting.loop import TrainingLoop, TrainingResult
from trainer.fitting.optimizer import resolve_rate
from trainer.fitting.state import read_best
from trainer.fitting.time_left import Workload, tested_images
from trainer.model import backbone
from trainer.model.backbone import freeze_layers
from trainer.monitoring.phases import PHASES
from trainer.monitoring.tracking import tracking
from trainer.publishing.package import build_package
from trainer.runtime import system

logger = logging.getLogger(__name__)


def train_on(images: Images, config: TrainConfig, context: RunContext) -> None:
    """Train on one split of the images and write the published folder."""
    run_dir, accelerator = context.run_dir, context.accelerator
    PHASES.start("train")
    torch.manual_seed(config.run.seed)
    with accelerator.main_process_first():
        built = backbone.build(config.model, len(images.labels))
    recipe = resolve_rate(config.recipe, built.model, config.model.tune)
    config = replace(config, recipe=recipe)
    facts = (
        f"{config.model.model}, {len(images.labels)} classes ({shortlist(images.labels, 12)}); "
        "images: "
        f"{', '.join(f'{len(split)} {name}' for name, split in images.splits.items())}; on "
        f"{system.accelerator_name(accelerator.device) or system.processor_name()}, "
        f"{'float32' if accelerator.mixed_precision == 'no' else accelerator.mixed_precision}; "
        f"run folder {run_dir}"
    )
    logger.info("%s", textwrap.fill(facts, 80, break_long_words=False, break_on_hyphens=False))
    freeze_layers(built.model, config.model.tune)
    prepare = head_inputs if config.model.tune == "head" else image_inputs
    inputs = prepare(built, images, config.recipe, config.run, context, tile=config.model.tile)
    fit, config = _fit(inputs, images, config, context)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(run_dir / PIXELS_DIR, ignore_errors=True)
        write_split(images.splits, run_dir, images.corrected)
        weights = read_best(run_dir, fit.best_epoch)
        # Accelerate wrapped the forward pass in mixed precision; the published model computes in
        # float32.
        accelerator.unwrap_model(inputs.model, keep_fp32_wrapper=False)
        inputs.model.load_state_dict(weights)
        with decoded_once(images.splits["test"]):
            build_package(config, images, built, fit, context)
    accelerator.wait_for_everyone()


def _fit(
    inputs: FitInputs, images: Images, config: TrainConfig, context: RunContext
) -> tuple[TrainingResult, TrainConfig]:
    """Fit the model; return the result and the settings that reproduce it."""
    sizes = {name: len(split) for name, split in images.splits.items()}
    work = Workload(
        train_images=sizes["train"],
        validation_images=sizes["validation"],
        tested_images=tested_images(
            sizes, config.decision.reference_images, config.checks.robustness_images
        ),
        side_px=config.model.image_size,
        views=config.recipe.views,
        trainings_after=PHASES.left("train"),
    )

    def fit_once(inputs: FitInputs, recipe: RecipeConfig, context: RunContext) -> TrainingResult:
        settings = replace(config, recipe=recipe).settings()
        with tracking(config.run.log_with, settings, context):
            return TrainingLoop(inputs, images, recipe, config.run, context, work).run()

    if config.model.tune == "head" and config.recipe.search_decay and config.recipe.weight_decay:
        fit, recipe = fit_heads(inputs, config.recipe, context, fit_once)
        return fit, replace(config, recipe=recipe)
    return fit_once(inputs, config.recipe, context), config
