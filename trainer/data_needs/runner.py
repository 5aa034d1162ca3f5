"""Measure the learning curves of a collection, from its images to the written result."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from model_card.figures.style import save_figure
from model_card.schema.checksums import facts_checksum
from trainer.config.groups import DataConfig, RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.data.splits.dataset import Images, prepare_images
from trainer.data.splits.shares import cut_folds
from trainer.data.splits.split import pooled
from trainer.data_needs.figure import learning_curve
from trainer.data_needs.forecast import extrapolate, words
from trainer.data_needs.measurement import CURVES_DIR, Features, Plan, measure
from trainer.data_needs.options import CurveConfig
from trainer.data_needs.subsets import default_counts, fewest_images
from trainer.errors import ConfigError, DataError
from trainer.model import backbone
from trainer.model.feature_cache import FeatureStore
from trainer.model.precision import choose_precision
from trainer.monitoring.phases import PHASES
from trainer.runtime.files import disk_errors_explained

logger = logging.getLogger(__name__)

FIGURE_FILE = "learning_curve.png"


def run(config: CurveConfig) -> tuple[Path, list[str]]:
    """Measure and extrapolate; return the path of the result, and what it says.

    Raises:
        UserError: the images, the network or the options can't be used.
    """
    data, settings = config.data, RunConfig(seed=config.seed, cache_dir=config.cache_dir)
    folded = DataConfig(**{**vars(data), "folds": config.folds})
    images = prepare_images(folded, settings, None, None)[0]
    output = config.output_dir or (
        Path("runs") / f"learning-curve-{images.source.replace('/', '-')}"
    )
    features, weights = _features(images, config, settings)
    plan = _plan(features, images, config, weights)
    PHASES.start("measure")
    try:
        with disk_errors_explained(output, "Or name another folder with --output-dir."):
            curves = measure(features, plan, output)
    except KeyboardInterrupt:
        logger.warning(
            "\nStopped; finished curves are saved in %s. The same command resumes.",
            output / CURVES_DIR,
        )
        raise
    PHASES.start("report")
    present = np.bincount(features.labels)
    result = extrapolate(features, plan, curves, config.more or 2 * int(np.median(present)))
    with disk_errors_explained(output, "Or name another folder with --output-dir."):
        save_figure(learning_curve(result), output / FIGURE_FILE)
        return result.write(output), words(result)


def _features(images: Images, config: CurveConfig, run: RunConfig) -> tuple[Features, str]:
    """Return the features of all images, and a hash of the network's weights."""
    PHASES.start("features")
    torch.manual_seed(run.seed)
    built = backbone.build(config.network, len(images.labels))
    accelerator = Accelerator(mixed_precision=choose_precision(run))
    store = FeatureStore(built, RecipeConfig(), run, accelerator, tile=False)
    rows = pooled(images.splits)
    tensors = store.features(rows, 0, "features of the images")
    # Without tiles and views: [1, 1, feature] of each image.
    values = torch.stack(tensors)[:, 0, 0].numpy().astype(np.float64)
    labels, groups = (np.asarray(rows[name][:], dtype=np.int64) for name in ("label", "group"))
    return Features(values, labels, groups, images.labels), store.folder(0).name


def _plan(features: Features, images: Images, config: CurveConfig, weights: str) -> Plan:
    """Draw the folds, and choose the numbers of images.

    Raises:
        ConfigError: --counts asks for more images than a class has.
        DataError: a class has too few images, or pieces of surface, for a curve.
    """
    rows = pooled(images.splits)
    folds = [
        cut_folds(rows, config.folds, config.seed + repeat, config.data)
        for repeat in range(config.repeats)
    ]
    classes, tests = len(features.names), [rows for each in folds for rows in each]
    present = np.bincount(features.labels, minlength=classes)
    tested = [np.bincount(features.labels[test], minlength=classes) for test in tests]
    # In the fold that leaves the fewest for training.
    left = present - np.max(tested, axis=0)
    smallest = int(left.argmin())
    if left[smallest] < fewest_images():
        raise DataError(
            f"{features.names[smallest]} has {present[smallest]} images; without those of a test "
            f"fold {left[smallest]} are left for training, and a curve needs {fewest_images()}. "
            "Add photographs of it, or leave the class out."
        )
    counts = sorted(set(config.counts)) or default_counts(int(left[smallest]))
    if counts[-1] > left[smallest]:
        raise ConfigError(
            f"--counts asks for {counts[-1]} images of each class, but "
            f"{features.names[smallest]} has {left[smallest]} outside a test fold."
        )
    facts = {
        "images": images.digest(),
        "features": weights,
        "counts": counts,
        "folds": config.folds,
        "repeats": config.repeats,
        "seed": config.seed,
    }
    class_counts = [default_counts(int(n)) for n in left]
    return Plan(counts, class_counts, folds, config.seed, facts_checksum(facts))
