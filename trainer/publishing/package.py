"""Build the published folder in stages: export, outputs, decision, evaluation, checks, report."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from model_card import card
from model_card.schema.report import Export
from space.inference.core.classifier import Observation
from space.inference.core.decision import Decision
from space.inference.decision_file import save_decision
from space.inference.engines.names import EngineName
from space.inference.predictor import Predictor
from trainer.config.groups import DecisionConfig
from trainer.config.run_folder import PUBLISHED_DIR, RunContext
from trainer.config.settings import TrainConfig
from trainer.data.image_defects import shown_classes
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images
from trainer.decision.baseline import fit_baseline, write_baseline
from trainer.decision.outputs import (
    ReferenceSet,
    checked_stages,
    collect_outputs,
    fit_reference,
    observe_images,
    observe_split,
)
from trainer.decision.rules import fit_multi_label_rules, fit_rules
from trainer.evaluation import ood_images, scores
from trainer.evaluation.checks.post_training import run_checks
from trainer.evaluation.reliability import apply_decision, measure, measure_ood_detection
from trainer.evaluation.several_defects import measure_several
from trainer.fitting.loop import TrainingResult
from trainer.fitting.time_left import tested_images
from trainer.model import export
from trainer.model.backbone import Backbone
from trainer.model.cost import choose_testing_engine
from trainer.monitoring.phases import PHASES
from trainer.publishing.report.writing import Evaluation, FinishedRun, write_report
from trainer.runtime.files import complete_folder

logger = logging.getLogger(__name__)

COMPARED_IMAGES = 16


@dataclass(frozen=True)
class ExportedModel:
    """The folder, the model as loaded from it, and the proof that it is the trained one.

    Attributes:
        folder: to be published.
        predictor: loaded from it.
        proof: the comparison with the trained model.
        engine: what runs the network in the tests on the processor.
    """

    folder: Path
    predictor: Predictor
    proof: Export
    engine: EngineName


@dataclass(frozen=True)
class CollectedOutputs:
    """What the exported model computes for every image that matters, before any decision.

    Attributes:
        reference: of validation images, and of training images that show known surfaces.
        test: of the test images, in their order.
        ood: of images that show none of the classes, by kind; empty if no surface is unknown.
        images_per_second: of the test images.
        engine: name of what ran the network for them.
    """

    reference: ReferenceSet
    test: Observation
    ood: dict[str, Observation]
    images_per_second: float
    engine: str


def build_package(
    config: TrainConfig,
    images: Images,
    backbone: Backbone,
    fit: TrainingResult,
    context: RunContext,
) -> None:
    """Write the published folder, which gets its name once it is complete."""
    PHASES.start("test")
    folder = context.run_dir / (PUBLISHED_DIR + ".partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    seed = config.run.seed
    exported = export_model(backbone, images, folder, config)
    device = context.accelerator.device
    outputs = collect(exported, images, config.decision, seed, device)
    decision = fit_decision(outputs.reference, images, config.decision)
    save_decision(decision, folder)
    evaluation = evaluate(
        decision,
        outputs,
        images,
        config.decision,
        context.run_dir,
        network_saw_left_out=config.model.tune == "all",
    )
    # On a GPU, PyTorch runs the thousands of corrupted copies there.
    served = export.load_exported(folder, device, exported.engine)
    test = images.splits["test"]
    baseline = fit_baseline(
        served,
        images.splits["train"],
        test,
        evaluation.predictions,
        corrupted_images=config.checks.robustness_images,
        seed=seed,
    )
    write_baseline(baseline, folder)
    checks = run_checks(served, test, evaluation.predictions, config.checks, seed, images.boxes)
    PHASES.start("card")
    write_report(
        FinishedRun(
            config=config,
            images=images,
            backbone=backbone,
            fit=fit,
            export=exported.proof,
            evaluation=evaluation,
            checks=checks,
            context=context,
        ),
        folder,
    )
    card.write_card(folder)
    complete_folder(folder, context.run_dir / PUBLISHED_DIR)


def export_model(
    backbone: Backbone, images: Images, folder: Path, config: TrainConfig
) -> ExportedModel:
    """Write the model, load it as its users will, and compare it with the trained one.

    Raises:
        UserError: what was written is not what was trained.
    """
    export.write_model(
        backbone.model,
        backbone.data_config,
        images.labels,
        folder,
        bit_depth=images.bit_depth,
        tile=config.model.tile,
        multi_label=images.multi_label,
    )
    test = images.splits["test"]
    compared = [open_image(row) for row in test.select(range(min(COMPARED_IMAGES, len(test))))]
    predictor, proof = export.verify_export(backbone.model, backbone.data_config, folder, compared)
    passes = tested_images(
        {name: len(split) for name, split in images.splits.items()},
        config.decision.reference_images,
        config.checks.robustness_images,
    )
    engine = choose_testing_engine(predictor.model, predictor.facts.preprocessing.size_px, passes)
    return ExportedModel(folder, predictor, proof, engine)


def collect(
    exported: ExportedModel,
    images: Images,
    settings: DecisionConfig,
    seed: int,
    device: torch.device,
) -> CollectedOutputs:
    """Send validation, training, test and OOD images through the exported model.

    Args:
        exported: computes the test on the processor, as most users will.
        images: all splits.
        settings: how many reference images, and the user's own OOD images.
        seed: chooses reference images and draws OOD images.
        device: computes what is not measured.
    """
    predictor = exported.predictor
    stages = checked_stages(predictor) if settings.reference_images else []
    engine = fast = predictor.engine_for(exported.engine, stages)
    if device.type != "cpu":
        fast = export.load_exported(exported.folder, device).engine_for("pytorch", stages)
    reference = fit_reference(predictor, fast, stages, images, settings.reference_images, seed)
    start = time.monotonic()
    test = observe_split(predictor, images.splits["test"], engine, "testing")
    images_per_second = len(test.logits) / (time.monotonic() - start)
    ood = {}
    if reference.detector:
        kinds = ood_sources(settings.ood_dir, seed, predictor.bit_depth)
        ood = {kind: observe_images(predictor, shown, engine) for kind, shown in kinds.items()}
    return CollectedOutputs(reference, test, ood, images_per_second, engine.name)


def ood_sources(folder: Path | None, seed: int, bit_depth: int) -> dict[str, Iterable[Image.Image]]:
    """Return images that show none of the classes, by kind; the user's own come last."""
    kinds: dict[str, Iterable[Image.Image]] = dict(ood_images.drawn_images(seed))
    if folder is not None:
        shown = ood_images.images_of_folder(folder, bit_depth)
        kinds[f"folder {folder.resolve().name}"] = shown
    return kinds


def fit_decision(reference: ReferenceSet, images: Images, settings: DecisionConfig) -> Decision:
    """Fit temperature, thresholds and the limit of novelty to images kept from the test."""
    validation = images.splits["validation"]
    if images.multi_label:
        return fit_multi_label_rules(
            images.labels,
            reference.validation_logits,
            shown_classes(validation),
            validation["group"][:],
            reference.detector,
            reference.novelty,
            settings,
        )
    return fit_rules(
        images.labels,
        reference.validation_logits,
        reference.validation_truth,
        reference.detector,
        reference.novelty,
        settings,
    )


def evaluate(
    decision: Decision,
    collected: CollectedOutputs,
    images: Images,
    settings: DecisionConfig,
    run_dir: Path,
    *,
    network_saw_left_out: bool,
) -> Evaluation:
    """Score the decision on the test images.

    Args:
        decision: fitted to the reference.
        collected: by the exported model.
        images: all splits.
        settings: what was asked of the decision.
        run_dir: where `predictions.csv` and the outputs go, which a cross-validation joins.
        network_saw_left_out: whether the classes left out were part of the network's training.
    """
    test, reference = images.splits["test"], collected.reference
    outputs = collect_outputs(
        reference, decision.detector, images.labels, test, collected.test, collected.ood
    )
    outputs.save(run_dir)
    predictions, outcomes = apply_decision(decision, outputs)
    scores.write_predictions(test, predictions, run_dir)
    scored = scores.score(test, predictions, collected.images_per_second, engine=collected.engine)
    if images.multi_label:
        validation = images.splits["validation"]
        several = measure_several(
            decision,
            predictions,
            outputs.logits,
            shown_classes(test),
            outputs.truth,
            test["group"][:],
            fitted_on="validation",
            fitted_images=len(validation),
            fitted_groups=len(set(validation["group"][:])),
            ood_detection=measure_ood_detection(
                decision, outcomes, settings, len(reference.novelty), network_saw_left_out
            ),
        )
        return Evaluation(predictions, scored, None, several)
    reliability = measure(
        decision,
        outcomes,
        settings,
        fitted_on="validation",
        fitted_images=len(reference.validation_truth),
        reference_images=len(reference.novelty),
        network_saw_left_out=network_saw_left_out,
    )
    return Evaluation(predictions, scored, reliability, None)
