"""Write the report of a finished run, its figures and its example images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from model_card.figures import results
from model_card.figures.explanations import write_heatmaps
from model_card.figures.reliability import write_novelty_figure, write_reliability_figures
from model_card.schema.reliability import Reliability, SeveralDefects
from model_card.schema.report import Export, Figure, Report
from model_card.schema.run.test_result import TestResult
from model_card.schema.run.training import Epoch, Machine, Model, Setting, Training
from space.inference.predictor import Prediction
from trainer.config.run_folder import RunContext
from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import Images
from trainer.evaluation.checks.post_training import PostTrainingChecks, draw_checks
from trainer.fitting.loop import TrainingResult
from trainer.model.backbone import Backbone, count_parameters
from trainer.publishing.report.data import data_facts, unseen_test
from trainer.publishing.report.example_images import write_examples
from trainer.publishing.report.image_figures import draw_augmentations, draw_classes, draw_samples
from trainer.publishing.report.shared_images import note_figures
from trainer.runtime import system


@dataclass(frozen=True)
class Evaluation:
    """Results of the published model on the test images.

    Attributes:
        predictions: of the test images, in their order.
        test: scores of the predicted classes.
        reliability: calibration, prediction sets, OOD detection and costs; None if the model names
            several defects.
        several_defects: the same of such a model; None for others.
    """

    predictions: list[Prediction]
    test: TestResult
    reliability: Reliability | None
    several_defects: SeveralDefects | None = None


@dataclass(frozen=True)
class FinishedRun:
    """The results of all stages of a run, from which the report is written."""

    config: TrainConfig
    images: Images
    backbone: Backbone
    fit: TrainingResult
    export: Export
    evaluation: Evaluation
    checks: PostTrainingChecks
    context: RunContext

    @property
    def images_shared(self) -> bool:
        """Whether images of the data may be published; drawn images always may."""
        return self.config.data.publish_images or self.images.kind == "drawn"


def write_report(run: FinishedRun, folder: Path) -> None:
    """Write `report.json`, figures and example images.

    Examples, and figures that show images, go into the run folder instead of the published `folder`
    if images may not be shared.
    """
    predictions, run_dir = run.evaluation.predictions, run.context.run_dir
    epochs = _epochs(run.fit)
    drawn = results.write_report_figures(epochs, run.evaluation.test, folder)
    if run.evaluation.reliability is not None:
        drawn += write_reliability_figures(run.evaluation.reliability, folder)
    several = run.evaluation.several_defects
    if several is not None and several.ood_detection is not None:
        drawn.append(write_novelty_figure(several.ood_detection, folder))
    drawn += draw_checks(run.checks.facts, folder)
    place = folder if run.images_shared else run_dir
    with_images = _image_figures(run, place)
    note_figures(with_images, run_dir)
    write_examples(run.images, predictions, place)
    if run.images_shared:
        drawn += with_images
    Report(
        model=_model_facts(run),
        data=data_facts(
            run.images,
            seed=run.config.run.seed,
            streamed_images=run.config.data.stream_images or None,
            images_shared=run.images_shared,
        ),
        training=_training_facts(run, epochs),
        machine=_machine_facts(run.context, run.fit),
        export=run.export,
        test=run.evaluation.test,
        unseen_test=unseen_test(run.images, predictions),
        cross_validation=None,
        reliability=run.evaluation.reliability,
        several_defects=run.evaluation.several_defects,
        figures=drawn,
        **dict(run.checks.facts),
    ).write(folder)


def _epochs(fit: TrainingResult) -> list[Epoch]:
    return [Epoch(**asdict(e), published=e.epoch == fit.best_epoch) for e in fit.epochs]


def _model_facts(run: FinishedRun) -> Model:
    built, config = run.backbone, run.config.model
    total, trained = count_parameters(built.model)
    data_config = built.data_config
    return Model(
        architecture=built.architecture,
        labels=run.images.labels,
        parameters=total,
        trained_parameters=trained,
        weights_origin=built.weights_origin,
        base_model=built.base_model,
        weights_file=config.weights.name if config.weights else None,
        license=built.license,
        input_size_px=data_config["input_size"][1],
        resize=data_config["crop_mode"],
        interpolation=data_config["interpolation"],
        mean=data_config["mean"],
        std=data_config["std"],
        tiled=config.tile,
    )


def _training_facts(run: FinishedRun, epochs: list[Epoch]) -> Training:
    return Training(
        command=run.config.command(),
        settings=[
            Setting(flag=flag, value=value, default=default)
            for flag, value, default in run.config.flags()
            # The run folder, resuming and tracking do not affect the result.
            if flag not in ("--run-dir", "--resume", "--log-with")
        ],
        epochs=epochs,
        epoch_choice=run.config.recipe.keep,
        stopped_early=run.fit.stopped_early,
        weights_averaged=run.config.recipe.ema_decay > 0,
    )


def _machine_facts(context: RunContext, fit: TrainingResult) -> Machine:
    """Return the machine of the run, its precision and versions."""
    accelerator = context.accelerator
    precision = accelerator.mixed_precision
    return Machine(
        processor=system.processor_name(),
        cores=system.core_count(),
        accelerator=system.accelerator_name(accelerator.device),
        processes=accelerator.num_processes,
        precision="float32" if precision == "no" else f"{precision} mixed precision",
        started=context.started.isoformat(timespec="seconds"),
        training_seconds=sum(epoch.seconds for epoch in fit.epochs),
        versions=system.versions(),
        code_url=system.code_url(),
    )


def _image_figures(run: FinishedRun, folder: Path) -> list[Figure]:
    """Draw the figures that show images into `folder`."""
    images, predictions = run.images, run.evaluation.predictions
    config = run.config
    drawn = [
        draw_classes(images, predictions, folder),
        draw_samples(images, predictions, folder),
        draw_augmentations(
            images,
            config.recipe,
            run.backbone.data_config,
            folder,
            seed=config.run.seed,
            tile=config.model.tile,
        ),
    ]
    if run.checks.explained:
        drawn.append(write_heatmaps(run.checks.explained, folder))
    return drawn
