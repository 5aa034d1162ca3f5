"""One training on one fold: its validation loss by epoch, and its outputs for held-out images."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from datasets import DatasetDict, concatenate_datasets
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from trainer.config.groups import DataConfig, ModelConfig, RunConfig
from trainer.config.run_folder import RunContext, note_start, read_start
from trainer.data.splits.dataset import Images
from trainer.data.splits.split import divide_into_folds
from trainer.evaluation.metrics.pairs import Hits
from trainer.fitting.inputs import PIXELS_DIR, head_inputs, image_inputs
from trainer.fitting.loop import TrainingLoop
from trainer.fitting.optimizer import resolve_rate
from trainer.fitting.state import read_best
from trainer.fitting.time_left import Workload
from trainer.inputs.loading import stack_tiles
from trainer.model import backbone
from trainer.model.tile_pooling import pool
from trainer.monitoring.epoch_log import EpochResult
from trainer.tuning.search_space import Candidate

OnEpoch = Callable[[EpochResult], None]


@dataclass(frozen=True)
class HeldOut:
    """Results on the held-out images of a fold, by the weights that would be published.

    Attributes:
        hits: which images are predicted correctly, [image].
        losses: cross entropy of each image, nats.
        groups: number of the piece of surface that each image shows.
    """

    hits: Hits
    losses: np.ndarray
    groups: list[int]


def tuning_folds(images: Images, data: DataConfig, seed: int, folds: int) -> list[Images]:
    """Return grouped folds of the training and validation images; the test split is left out.

    Each fold's held-out images are its validation split; it stands for the test split, too, so that
    no image of the real one can be read.

    Raises:
        DataError: a class has too few pieces of surface for that many folds.
    """
    known = DatasetDict({name: images.splits[name] for name in ("train", "validation")})
    found = []
    for divided, origins, division in divide_into_folds(known, replace(data, folds=folds), seed):
        splits = DatasetDict(
            train=concatenate_datasets([divided["train"], divided["validation"]]),
            validation=divided["test"],
            test=divided["test"],
        )
        found.append(replace(images, splits=splits, origins=origins, division=division))
    return found


def train_fold(
    images: Images,
    candidate: Candidate,
    model: ModelConfig,
    run: RunConfig,
    folder: Path,
    accelerator: Accelerator,
    on_epoch: OnEpoch | None = None,
) -> HeldOut:
    """Train on a fold, from the last checkpoint in `folder` if there is one.

    Args:
        images: of the fold.
        candidate: the settings.
        model: the network.
        run: the seed, and the processes that load images.
        folder: for checkpoints.
        accelerator: device and precision.
        on_epoch: called after each epoch; may end the training with an exception.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "started.txt").exists():
        note_start(folder)
    context = RunContext(folder, read_start(folder), accelerator)
    torch.manual_seed(run.seed)
    model = replace(model, image_size=candidate.image_size)
    built = backbone.build(model, len(images.labels))
    recipe = resolve_rate(candidate.recipe, built.model, model.tune)
    backbone.freeze_layers(built.model, model.tune)
    prepare = head_inputs if model.tune == "head" else image_inputs
    inputs = prepare(built, images, recipe, run, context, tile=model.tile)
    sizes = {name: len(split) for name, split in images.splits.items()}
    work = Workload(sizes["train"], sizes["validation"], 0, model.image_size, recipe.views)
    try:
        fit = TrainingLoop(inputs, images, recipe, run, context, work, on_epoch).run()
        network = accelerator.unwrap_model(inputs.model, keep_fp32_wrapper=False)
        network.load_state_dict(read_best(folder, fit.best_epoch))
        network.eval()
        outputs, targets = [], []
        batches = DataLoader(
            inputs.validation, batch_size=recipe.batch_size, collate_fn=stack_tiles
        )
        normalize = inputs.prepare.to(accelerator.device)
        with torch.inference_mode():
            for batch in batches:
                shown = batch.inputs.to(accelerator.device)
                outputs.append(pool(network(normalize(shown)).float(), batch.counts).cpu())
                targets.append(batch.targets)
    finally:
        # Otherwise accelerate would hold references to the models of all trials.
        accelerator.free_memory()
        shutil.rmtree(folder / PIXELS_DIR, ignore_errors=True)
    logits, truth = torch.cat(outputs), torch.cat(targets)
    return HeldOut(
        hits=(logits.argmax(1) == truth).numpy(),
        losses=cross_entropy(logits, truth, reduction="none").numpy(),
        groups=list(images.splits["validation"]["group"][:]),
    )
