"""Join the folds of a cross-validation: one report on all images, one published folder."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from datasets import concatenate_datasets

from model_card import card, figures
from model_card.report import CrossValidation, Fold, Report
from trainer import assess
from trainer.config import TrainConfig
from trainer.export import PUBLISHED_DIR
from trainer.imagefolder import open_image
from trainer.images import Images

logger = logging.getLogger(__name__)

MOST_MISTAKES_SHOWN = 48


def publish(
    folds: Sequence[Images], fold_dirs: Sequence[Path], run_dir: Path, config: TrainConfig
) -> None:
    """Write `predictions.csv` of all images and the published folder: the first fold's, with more.

    The first, not the best: a fold chosen by its test score would be a flattering choice. Nor is
    there a last training on all images: no image would be left to test what is published.

    Args:
        folds: the images of each fold.
        fold_dirs: where each was trained; all have a published folder.
        run_dir: where to write.
        config: the settings of the whole.
    """
    reports = [Report.read(fold_dir / PUBLISHED_DIR) for fold_dir in fold_dirs]
    labels = folds[0].labels
    tested = concatenate_datasets([images.parts["test"] for images in folds])
    predictions = [
        prediction
        for fold_dir in fold_dirs
        for prediction in assess.read_predictions(fold_dir, labels)
    ]
    assess.write_predictions(tested, predictions, run_dir)
    speed = mean(report.test.images_per_second for report in reports)
    joined = CrossValidation(
        folds=[
            Fold(
                train_images=next(s.images for s in report.data.splits if s.name == "train"),
                test_images=report.test.images,
                kept_epoch=next(epoch.epoch for epoch in report.training.epochs if epoch.kept),
                accuracy=report.test.scores.accuracy,
            )
            for report in reports
        ],
        mean_accuracy=mean(report.test.scores.accuracy.value for report in reports),
        accuracy_deviation=stdev(report.test.scores.accuracy.value for report in reports),
        all_images=assess.score(tested, predictions, speed),
    )
    partial = run_dir / (PUBLISHED_DIR + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(fold_dirs[0] / PUBLISHED_DIR, partial)
    drawn = figures.write_fold_figures(joined, partial)
    rows = {file: row for row, file in enumerate(tested["file"])}
    mistakes = [
        (mistake, open_image(tested[rows[mistake.file]]))
        for mistake in joined.all_images.mistakes[:MOST_MISTAKES_SHOWN]
    ]
    if mistakes:
        shared = reports[0].data.images_shared
        pictured = figures.write_mistakes(mistakes, partial if shared else run_dir)
        drawn += [pictured] if shared else []
    changes = {"cross_validation": joined, "figures": reports[0].figures + drawn}
    reports[0].model_copy(update=changes).write(partial)
    card.write_card(partial)
    partial.replace(run_dir / PUBLISHED_DIR)
    accuracy = joined.all_images.scores.accuracy
    logger.info(
        "Out-of-fold accuracy %.2f %% (95 %% interval %.2f–%.2f %%) on %d images; "
        "folds %.2f ± %.2f %%.",
        100 * accuracy.value,
        100 * accuracy.low,
        100 * accuracy.high,
        joined.all_images.images,
        100 * joined.mean_accuracy,
        100 * joined.accuracy_deviation,
    )
