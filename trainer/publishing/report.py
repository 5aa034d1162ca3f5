"""Write the report of a finished run, its figures and its example images."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torchvision.transforms import v2

from model_card.figures import results
from model_card.figures.explanations import write_heatmaps
from model_card.figures.reliability import write_novelty_figure, write_reliability_figures
from model_card.schema.reliability import Reliability, SeveralDefects
from model_card.schema.report import Export, Figure, Report
from model_card.schema.run.data import Data, DataSource, Leakage, SharedSurfaces, Split
from model_card.schema.run.test_result import TestResult, UnseenTest
from model_card.schema.run.training import Epoch, Machine, Model, Setting, Training
from space.inference.predictor import Prediction
from trainer.config.run_folder import RunContext
from trainer.config.settings import TrainConfig
from trainer.data.collection import source_names
from trainer.data.image_record import short_fingerprint
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images
from trainer.data.splits.leakage import leaking_files, overlapping, random_split_leakage
from trainer.data.splits.overlap_groups import Surfaces
from trainer.evaluation.checks.post_training import PostTrainingChecks, draw_checks
from trainer.evaluation.metrics.intervals import grouped_proportion
from trainer.evaluation.sample_rows import choose_samples
from trainer.fitting.loop import TrainingResult
from trainer.inputs.augment import Augment
from trainer.inputs.draws import draw, mixed_seeds
from trainer.inputs.loading import scaled_tiles
from trainer.model.backbone import Backbone, count_parameters
from trainer.publishing.example_images import choose_examples, write_examples
from trainer.publishing.shared_images import note_figures
from trainer.runtime import system

SAMPLES = 24
AUGMENTED = 11


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
    with_images = _write_image_figures(run, predictions, place)
    note_figures(with_images, run_dir)
    write_examples(run.images, predictions, place)
    if run.images_shared:
        drawn += with_images
    Report(
        model=_model_facts(run),
        data=_data_facts(run),
        training=_training_facts(run, epochs),
        machine=_machine_facts(run.context, run.fit),
        export=run.export,
        test=run.evaluation.test,
        unseen_test=_unseen_test(run.images, predictions),
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


def _data_facts(run: FinishedRun) -> Data:
    images = run.images
    splits = []
    for name in ("train", "validation", "test"):
        counts = Counter(images.splits[name]["label"][:])
        splits.append(
            Split(
                name=name,
                images=len(images.splits[name]),
                images_by_class={label: counts[i] for i, label in enumerate(images.labels)},
                origin=images.origins[name],
                fingerprints=sorted(
                    short_fingerprint(images.contents[file])
                    for file in images.splits[name]["file"][:]
                ),
            )
        )
    sizes_px = [tuple(size) for split in images.splits.values() for size in split["size_px"][:]]
    by_area = sorted(sizes_px, key=lambda size: size[0] * size[1])
    return Data(
        source=images.source,
        kind=images.kind,
        origin=images.origin,
        streamed_images=run.config.data.stream_images or None,
        splits=splits,
        seed=run.config.run.seed,
        division=images.division,
        surfaces=_surface_facts(images, images.surfaces) if images.surfaces else None,
        skipped=images.skipped,
        bit_depth=images.bit_depth,
        smallest_px=by_area[0],
        largest_px=by_area[-1],
        images_shared=run.images_shared,
        feedback=images.feedback.facts if images.feedback else None,
        sources=_source_facts(images),
        unshared=images.unshared,
    )


def _source_facts(images: Images) -> list[DataSource]:
    counts = {name: Counter(source_names(split)) for name, split in images.splits.items()}
    return [
        DataSource(
            name=record.name,
            kind=record.kind,
            revision=record.revision,
            images={name: counted[record.name] for name, counted in counts.items()},
            left_out=record.left_out,
        )
        for record in images.sources
    ]


def _surface_facts(images: Images, surfaces: Surfaces) -> SharedSurfaces:
    files = {
        name: set(split["file"][:]) - images.corrected for name, split in images.splits.items()
    }
    labels = {
        file: label
        for split in images.splits.values()
        for file, label in zip(split["file"][:], split["label"][:], strict=True)
        if file not in images.corrected
    }
    # The search also saw images that --train-on leaves out.
    pairs = [pair for pair in surfaces.pairs if {pair.file_a, pair.file_b} <= labels.keys()]
    sizes = Counter(surfaces.groups[file] for file in labels)
    random_leakage, _ = random_split_leakage(surfaces, labels, len(files["test"]) / len(labels))
    in_validation = overlapping(surfaces, files["validation"], files["train"])
    return SharedSurfaces(
        images=len(labels),
        pairs=len(pairs),
        turned_pairs=sum(pair.turn > 0 for pair in pairs),
        pairs_across_classes=sum(pair.label_a != pair.label_b for pair in pairs),
        sharing_images=sum(size for size in sizes.values() if size > 1),
        groups=len(sizes),
        largest_group=max(sizes.values()),
        leakage=[
            Leakage(
                split="validation",
                seen_in="training",
                images=len(in_validation),
                of=len(files["validation"]),
            ),
            Leakage(
                split="test",
                seen_in="training or validation",
                images=len(leaking_files(images.splits, surfaces)),
                of=len(files["test"]),
            ),
        ],
        random_split_leakage=random_leakage,
    )


def _unseen_test(images: Images, predictions: list[Prediction]) -> UnseenTest | None:
    """Score the test images without overlap with training images, if others have overlap."""
    leaking = leaking_files(images.splits, images.surfaces)
    test = images.splits["test"]
    truth = test.features["label"].int2str(test["label"][:])
    unseen = [row for row, file in enumerate(test["file"][:]) if file not in leaking]
    right = [predictions[row].label == truth[row] for row in unseen]
    if not leaking or not right:
        return None
    accuracy = grouped_proportion(right, test.select(unseen)["group"])
    return UnseenTest(images=len(right), accuracy=accuracy)


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


def _write_image_figures(
    run: FinishedRun, predictions: list[Prediction], folder: Path
) -> list[Figure]:
    """Draw the figures that show images: classes, predictions, augmentations and heatmaps."""
    row, tile = run.images.splits["train"][0], run.config.model.tile
    pixels = scaled_tiles(row, run.backbone.data_config, tile=tile)[0]
    numbers = np.arange(AUGMENTED, dtype=np.uint64)
    draws = draw(mixed_seeds(run.config.run.seed, numbers))
    augment = Augment(run.config.recipe, run.backbone.data_config)
    batch = augment((pixels.expand(AUGMENTED, -1, -1, -1), draws))
    augmented = [v2.functional.to_pil_image(image) for image in augment.normalize.undo(batch)]
    original = v2.functional.to_pil_image(pixels)
    drawn = [
        _draw_classes(run.images, predictions, folder),
        draw_samples(run.images, predictions, folder),
        results.write_augmentations(original, augmented, folder),
    ]
    if run.checks.explained:
        drawn.append(write_heatmaps(run.checks.explained, folder))
    return drawn


def _draw_classes(images: Images, predictions: list[Prediction], folder: Path) -> Figure:
    """Draw the test images that are published as examples, one per class, into `folder`."""
    test = images.splits["test"]
    truth = test["label"][:]
    rows = choose_examples(truth, images.labels, predictions)
    examples = [(images.labels[truth[row]], open_image(test[row])) for row in rows]
    return results.write_class_examples(examples, folder)


def draw_samples(images: Images, predictions: list[Prediction], folder: Path) -> Figure:
    """Draw some test images with their predictions into `folder`."""
    test = images.splits["test"]
    samples = []
    for index in choose_samples(test["label"][:], images.labels, predictions, SAMPLES):
        row, prediction = test[index], predictions[index]
        samples.append(
            results.Sample(
                image=open_image(row),
                label=images.labels[row["label"]],
                prediction=prediction.label,
                confidence=prediction.confidence,
            )
        )
    return results.write_samples(samples, folder)
