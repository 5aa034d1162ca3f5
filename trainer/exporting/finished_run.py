"""Add exported files to the published folder of a finished run, each with its passport."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from PIL import Image

from model_card.card import write_card
from model_card.schema.exports import Exports, FormatPassport
from model_card.schema.report import Report
from space.inference.engines.names import Precision
from space.inference.exported.model_file import ExportedClassifier
from space.inference.exported.self_test import SelfTestError
from space.inference.model_config import WEIGHTS_FILE
from space.inference.predictor import ModelError, Predictor
from trainer.config.option_types import FormatName
from trainer.config.run_folder import PUBLISHED_DIR, finished_folder, replace_published
from trainer.config.run_lock import explained_failures, only_training_in
from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import Images, prepare_images
from trainer.errors import ConfigError, UserError
from trainer.evaluation.ood_images import drawn_images
from trainer.exporting.calibration import of_run
from trainer.exporting.formats import FORMATS, Calibration, Source
from trainer.exporting.packages import check_packages
from trainer.exporting.passport import Measurement, PreparedImages, measure, write_passport
from trainer.publishing.published import check_published
from trainer.runtime import system

logger = logging.getLogger(__name__)

STAGING_DIR = "export.partial"
REFERENCE = "safetensors"
SPOKEN: dict[Precision, str] = {"bf16": "bf16", "mixed": "bf16 behind its first layers"}


def export_run(run_dir: Path, names: Sequence[FormatName], data_dir: Sequence[str] = ()) -> Path:
    """Export a finished run's model; return the published folder.

    Formats that the report lists already are left as they are.

    Args:
        run_dir: of the run.
        names: of the formats.
        data_dir: where the images are, one place for each source, if they moved.

    Raises:
        UserError: the run is not finished or damaged, its images changed, or a package is missing.
    """
    check_packages(names)
    folder = finished_folder(run_dir)
    if folder is None:
        raise ConfigError(f"{run_dir} has no finished run: it holds no folder {PUBLISHED_DIR}.")
    with only_training_in(run_dir), explained_failures(run_dir):
        report = check_published(folder)
        measured = report.exports.formats if report.exports else []
        _report_earlier([each for each in measured if each.format in names])
        wanted = [name for name in names if name not in [each.format for each in measured]]
        if wanted:
            images = _images(run_dir, data_dir)
            exports = _export(folder, run_dir / STAGING_DIR, wanted, images, measured)
            _publish(report, exports, folder, run_dir / STAGING_DIR)
    return folder


def _report_earlier(passports: Sequence[FormatPassport]) -> None:
    """Log what became of formats that were asked for again."""
    for passport in passports:
        if passport.refused:
            logger.warning("%s was refused before: %s.", passport.title, passport.refused)
        else:
            logger.info("%s was published before, with its passport.", passport.title)


def _images(run_dir: Path, data_dir: Sequence[str]) -> Images:
    """Return the images of the run; with folds, those of the first, whose model is published."""
    config = TrainConfig.read(run_dir)
    data = replace(config.data, data_dir=tuple(data_dir)) if data_dir else config.data
    return prepare_images(data, config.run, config.checks.boxes, run_dir)[0]


def _export(
    folder: Path,
    staging: Path,
    names: Sequence[FormatName],
    images: Images,
    measured: Sequence[FormatPassport],
) -> Exports:
    """Write and measure the formats in `staging`; a refused format leaves no file there."""
    shutil.rmtree(staging, ignore_errors=True)
    predictor = Predictor(folder)
    source = Source(predictor, predictor.facts.origin)
    tested = PreparedImages.prepare(predictor, images.splits["test"], _ood())
    reference = measure(predictor, tested)
    passports = list(measured)
    if not passports:
        weights = folder / WEIGHTS_FILE
        passports.append(
            write_passport(
                *(REFERENCE, "safetensors", [WEIGHTS_FILE], weights.stat().st_size),
                *(predictor, reference, reference, tested),
                precision="f32",
            )
        )
    calibration = of_run(images, seed=0)
    for name in names:
        logger.info("Exporting %s …", FORMATS[name].title)
        passport = _measured(name, source, calibration, staging, tested, reference)
        passports.append(passport)
        if passport.refused:
            logger.warning("%s is not published: %s.", passport.title, passport.refused)
            for file in FORMATS[name].files:
                (staging / file).unlink()
    return Exports(processor=system.processor_name(), cores=system.core_count(), formats=passports)


def _measured(
    name: FormatName,
    source: Source,
    calibration: Calibration,
    staging: Path,
    tested: PreparedImages,
    reference: Measurement,
) -> FormatPassport:
    """Write a format in the fastest precision that decides as the weights do; measure it.

    Raises:
        UserError: the written file fails its self-test even in float32.
    """
    chosen = FORMATS[name]
    built = chosen.build(source, calibration)
    refused: list[str] = []
    faster = chosen.precisions[:-1]
    for precision in faster if faster and _has_bf16() else ():
        try:
            classifier = chosen.write(built, source, staging, precision)
        except SelfTestError as error:
            reason = error.reason
        except ModelError as error:
            # Its words name folders of this machine; the passport is published.
            reason = "OpenVINO can't compute it"
            logger.info("%s", error)
        else:
            passport = _passport(name, classifier, staging, tested, reference)
            if passport.refused is None:
                return _slowed(passport, refused)
            reason = passport.refused
        refused.append(f"in {SPOKEN[precision]}, {reason}")
        logger.info("%s: %s.", chosen.title, refused[-1])
    try:
        classifier = chosen.write(built, source, staging)
    except ModelError as error:
        raise UserError(str(error)) from error
    return _slowed(_passport(name, classifier, staging, tested, reference), refused)


def _slowed(passport: FormatPassport, refused: Sequence[str]) -> FormatPassport:
    """Return a passport that says why faster precisions were refused."""
    return passport.model_copy(update={"slower": "; ".join(refused) or None})


def _has_bf16() -> bool:
    # OpenVINO is an optional package.
    from space.inference.engines.openvino_cpu import has_bf16  # noqa: PLC0415

    return has_bf16()


def _passport(
    name: FormatName,
    classifier: ExportedClassifier,
    staging: Path,
    tested: PreparedImages,
    reference: Measurement,
) -> FormatPassport:
    chosen = FORMATS[name]
    sizes = [(staging / file).stat().st_size for file in chosen.files]
    return write_passport(
        *(name, chosen.title, chosen.files, sum(sizes), classifier),
        *(measure(classifier, tested), reference, tested),
        precision=classifier.metadata.precision,
    )


def _ood() -> Iterable[Image.Image]:
    return chain.from_iterable(drawn_images(seed=0).values())


def _publish(report: Report, exports: Exports, folder: Path, staging: Path) -> None:
    """Publish a copy of the folder with the files, their passports and a new card.

    The folder is replaced as a whole: its report lists the checksums of all files, so that after a
    kill in between, neither a push nor another export would accept it.
    """
    new = staging / PUBLISHED_DIR
    shutil.copytree(folder, new)
    for passport in exports.formats:
        for file in passport.files:
            if (staging / file).exists():
                (new / file).parent.mkdir(exist_ok=True)
                (staging / file).replace(new / file)
    report.model_copy(update={"exports": exports}).write(new)
    write_card(new)
    replace_published(folder.parent, new)
    shutil.rmtree(staging, ignore_errors=True)
