"""Turn kept weights into the published folder: export, decide, score, describe."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from accelerate import Accelerator
from PIL import Image

from model_card import card
from space.inference.predictor import Observation, Predictor
from trainer.config.run_folder import PUBLISHED_DIR
from trainer.config.settings import TrainConfig
from trainer.data.sources import open_image
from trainer.data.splits.dataset import Images
from trainer.decision.outputs import collect_outputs, fit_reference, observe_images, observe_part
from trainer.decision.rules import fit_rules
from trainer.evaluation import ood_images, scores
from trainer.evaluation.explanations import run_checks
from trainer.evaluation.reliability import apply_decision, measure
from trainer.fitting.loop import TrainingResult
from trainer.model import export
from trainer.model.backbone import Backbone
from trainer.monitoring.phases import PHASES
from trainer.publishing import report

logger = logging.getLogger(__name__)

COMPARED_IMAGES = 16


def finish(
    config: TrainConfig,
    images: Images,
    built: Backbone,
    fit: TrainingResult,
    run_dir: Path,
    started: datetime,
    accelerator: Accelerator,
) -> None:
    """Export the kept weights, score what was exported, describe it, and only then name it."""
    PHASES.start("test")
    partial = run_dir / (PUBLISHED_DIR + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    test = images.parts["test"]
    export.write_model(
        built.model,
        built.data_config,
        images.labels,
        partial,
        bit_depth=images.bit_depth,
        tile=config.model.tile,
    )
    compared = [open_image(row) for row in test.select(range(min(COMPARED_IMAGES, len(test))))]
    plain = export.load_exported(partial, accelerator.device)
    known = fit_reference(plain, images, config.decision.reference_images, config.run.seed)
    decision = fit_rules(
        images.labels,
        known.validation_logits,
        known.validation_truth,
        known.detector,
        known.novelty,
        config.decision,
    )
    decision.write(partial)
    predictor, proof = export.prove_equal(built.model, built.data_config, partial, compared)
    start = time.monotonic()
    observed = observe_part(predictor, test, None, "testing")
    images_per_second = len(test) / (time.monotonic() - start)
    strangers = _observe_ood(predictor, config) if decision.detector else {}
    outputs = collect_outputs(known, decision.detector, images.labels, test, observed, strangers)
    outputs.save(run_dir)
    predictions, outcomes = apply_decision(decision, outputs)
    scores.write_predictions(test, predictions, run_dir)
    result = scores.score(test, predictions, images_per_second)
    run = report.FinishedRun(
        config=config,
        images=images,
        backbone=built,
        fit=fit,
        test=result,
        reliability=measure(
            decision,
            outcomes,
            config.decision,
            fitted_on="validation",
            fitted_images=len(known.validation_truth),
            reference_images=len(known.novelty),
            network_saw_left_out=config.model.tune == "all",
        ),
        extra=run_checks(predictor, test, predictions, config, images.boxes),
        export=proof,
        machine=report.machine_facts(accelerator, started, fit),
    )
    PHASES.start("card")
    report.write_report(run, predictions, partial, run_dir)
    card.write_card(partial)
    partial.replace(run_dir / PUBLISHED_DIR)


def _observe_ood(predictor: Predictor, config: TrainConfig) -> dict[str, Observation]:
    """Look at images that show none of the classes; the user's own come last."""
    kinds: dict[str, Iterable[Image.Image]] = dict(ood_images.drawn_images(config.run.seed))
    if config.decision.ood_dir is not None:
        folder = config.decision.ood_dir
        shown = ood_images.images_of_folder(folder, predictor.bit_depth)
        kinds[f"folder {folder.resolve().name}"] = shown
    return {kind: observe_images(predictor, shown) for kind, shown in kinds.items()}
