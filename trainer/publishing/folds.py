"""Join the folds of a cross-validation: one report on all images, one published folder."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import datasets

from model_card import card
from model_card.figures import results
from model_card.figures.reliability import write_novelty_figure, write_reliability_figures
from model_card.schema.report import Figure, Report
from model_card.schema.run.test_result import CrossValidation, Fold
from space.inference.decision_file import save_decision
from space.inference.drift.baseline import BASELINE_FILE, Baseline
from space.inference.model_folder import ModelFolder
from trainer.config.groups import DecisionConfig
from trainer.config.run_folder import PUBLISHED_DIR
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images
from trainer.decision.baseline import baseline_of, write_baseline
from trainer.evaluation import scores
from trainer.evaluation.checks.post_training import draw_checks, join_checks
from trainer.evaluation.folds import FoldMeasures, FoldOutcomes, fold_outcomes, measure_folds
from trainer.monitoring.phases import PHASES
from trainer.publishing.report.image_figures import draw_samples
from trainer.publishing.report.shared_images import EXAMPLES_DIR, note_figures, noted_figures
from trainer.runtime.files import complete_folder

logger = logging.getLogger(__name__)

MOST_MISTAKES_SHOWN = 48


def publish(
    folds: Sequence[Images],
    fold_dirs: Sequence[Path],
    run_dir: Path,
    config: DecisionConfig,
    *,
    network_saw_left_out: bool,
) -> None:
    """Write `predictions.csv` of all images, and the published folder: the first fold, extended.

    The first fold is published, not the best: choosing by test score would bias the result. No
    model is trained on all images, since no image would be left to test it.

    The rules of each fold are fitted again to the outputs of the other folds: they have more images
    than its validation split, and its network was trained on none of them.

    Args:
        folds: the images of each fold.
        fold_dirs: the run folder of each fold, with a published folder.
        run_dir: of the cross-validation.
        config: of the decision.
        network_saw_left_out: see `measure_folds`.
    """
    PHASES.start("join")
    reports = [Report.read(fold_dir / PUBLISHED_DIR) for fold_dir in fold_dirs]
    outcomes = fold_outcomes(fold_dirs, folds, config)
    tested = datasets.concatenate_datasets([images.splits["test"] for images in folds])
    measures = measure_folds(outcomes, folds, config, network_saw_left_out=network_saw_left_out)
    joined = _join(reports, tested, outcomes, measures)
    predictions = [prediction for fold in outcomes for prediction in fold.predictions]
    scores.write_predictions(tested, predictions, run_dir)
    partial = run_dir / (PUBLISHED_DIR + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(fold_dirs[0] / PUBLISHED_DIR, partial)
    save_decision(outcomes[0].decision, partial)
    measured = ModelFolder(partial).read_json(BASELINE_FILE, Baseline)
    refitted = baseline_of(measured.labels, outcomes[0].predictions, measured.images)
    write_baseline(refitted, partial)
    measures = measure_folds(
        outcomes[:1], folds[:1], config, network_saw_left_out=network_saw_left_out
    )
    first, samples = _with_refitted_rules(
        reports[0], folds[0], outcomes[0], measures, partial, run_dir
    )
    shared = first.data.images_shared
    drawn = results.write_fold_figures(joined, partial) + draw_checks(joined, partial)
    pictured = _picture_mistakes(joined, tested, partial if shared else run_dir)
    _note_figures(fold_dirs[0], run_dir, [samples, *pictured], shared=shared)
    drawn += pictured if shared else []
    changes = {"cross_validation": joined, "figures": _redrawn(first.figures, drawn)}
    first.model_copy(update=changes).write(partial)
    card.write_card(partial)
    complete_folder(partial, run_dir / PUBLISHED_DIR)


def _join(
    reports: Sequence[Report],
    tested: datasets.Dataset,
    outcomes: Sequence[FoldOutcomes],
    measures: FoldMeasures,
) -> CrossValidation:
    """Return the joint results of the folds."""
    predictions = [prediction for fold in outcomes for prediction in fold.predictions]
    speed = mean(report.test.images_per_second for report in reports)
    engines = {report.test.engine for report in reports}
    return CrossValidation(
        folds=[
            Fold(
                train_images=next(s.images for s in report.data.splits if s.name == "train"),
                test_images=report.test.images,
                best_epoch=next(epoch.epoch for epoch in report.training.epochs if epoch.published),
                accuracy=report.test.scores["accuracy"],
            )
            for report in reports
        ],
        mean_accuracy=mean(report.test.scores["accuracy"].value for report in reports),
        accuracy_deviation=stdev(report.test.scores["accuracy"].value for report in reports),
        all_images=scores.score(
            tested, predictions, speed, engines.pop() if len(engines) == 1 else None
        ),
        **measures._asdict(),
        **dict(join_checks(reports)),
    )


def _with_refitted_rules(
    report: Report,
    images: Images,
    outcomes: FoldOutcomes,
    measures: FoldMeasures,
    folder: Path,
    run_dir: Path,
) -> tuple[Report, Figure]:
    """Return a fold's report with its new rules, and the redrawn figure of samples."""
    measured = report.test
    test = scores.score(
        images.splits["test"], outcomes.predictions, measured.images_per_second, measured.engine
    )
    drawn = results.write_report_figures(report.training.epochs, test, folder)
    reliability, several = measures
    if reliability is not None:
        drawn += write_reliability_figures(reliability, folder)
    if several is not None and several.ood_detection is not None:
        drawn.append(write_novelty_figure(several.ood_detection, folder))
    samples = draw_samples(
        images, outcomes.predictions, folder if report.data.images_shared else run_dir
    )
    if report.data.images_shared:
        drawn.append(samples)
    figures = _redrawn(report.figures, drawn)
    changes = {"test": test, **measures._asdict(), "figures": figures}
    return report.model_copy(update=changes), samples


def _redrawn(figures: list[Figure], drawn: list[Figure]) -> list[Figure]:
    """Return the figures with those that were drawn again in their places, and new ones last."""
    again = {figure.file: figure for figure in drawn}
    return [again.pop(figure.file, figure) for figure in figures] + list(again.values())


def _note_figures(fold_dir: Path, run_dir: Path, redrawn: list[Figure], *, shared: bool) -> None:
    """Record the figures that show images; if images are not shared, copy those of the fold.

    The figures in `redrawn` exist already.
    """
    files = {figure.file for figure in redrawn}
    others = [figure for figure in noted_figures(fold_dir) if figure.file not in files]
    note_figures([*others, *redrawn], run_dir)
    if not shared:
        for figure in others:
            shutil.copyfile(fold_dir / figure.file, run_dir / figure.file)
        shutil.copytree(fold_dir / EXAMPLES_DIR, run_dir / EXAMPLES_DIR, dirs_exist_ok=True)


def _picture_mistakes(
    joined: CrossValidation, tested: datasets.Dataset, folder: Path
) -> list[Figure]:
    """Draw the misclassified images, if there are any."""
    rows = {file: row for row, file in enumerate(tested["file"][:])}
    mistakes = [
        (mistake, open_image(tested[rows[mistake.file]]))
        for mistake in joined.all_images.mistakes[:MOST_MISTAKES_SHOWN]
    ]
    return [results.write_mistakes(mistakes, folder)] if mistakes else []
