"""Export a published model into a folder: the files, and the program that runs them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from space.inference.core.classifier import Classifier
from space.inference.exported.self_test import drawn_images
from space.inference.predictor import ModelError, Predictor, find_model_folder
from trainer.config.option_types import FormatName
from trainer.errors import UserError
from trainer.evaluation import ood_images
from trainer.exporting.bundle import write_bundle
from trainer.exporting.calibration import of_folders
from trainer.exporting.formats import FORMATS, Calibration, Source
from trainer.exporting.packages import check_packages
from trainer.runtime.files import disk_errors_explained

logger = logging.getLogger(__name__)


def export_model(
    model_id: str, names: Sequence[FormatName], output: Path, data_dir: Sequence[str]
) -> Path:
    """Write the files of a model and `predict.pyz` into a folder; return it.

    Without the images of a run, no passport can be measured: the log says how far each file is
    from the weights on drawn images.

    Args:
        model_id: `hf-hub:USER/NAME` or `local-dir:FOLDER`.
        names: of the formats.
        output: an empty or new folder.
        data_dir: folders of images that int8 is fitted to.

    Raises:
        UserError: the model can't be used, or a package is missing.
    """
    check_packages(names)
    try:
        # PyTorch on the processor: the reference of every file.
        source = Source(Predictor(find_model_folder(model_id)), model_id)
        calibration = Calibration([], [])
        if data_dir:
            calibration = of_folders(data_dir, source.predictor.bit_depth, seed=0)
        with disk_errors_explained(output, "Or name another folder with --output."):
            for name in names:
                chosen = FORMATS[name]
                exported = chosen.write(chosen.build(source, calibration), source, output)
                _report(source.predictor, exported, chosen.title)
            write_bundle(output)
    except ModelError as error:
        raise UserError(str(error)) from error
    return output


def _report(weights: Classifier, exported: Classifier, title: str) -> None:
    """Log how far an exported file is from the weights, on drawn images."""
    images = drawn_images()
    for drawn in ood_images.drawn_images(seed=0).values():
        images += drawn[:4]
    ours, theirs = exported.observe(images).logits, weights.observe(images).logits
    logger.info(
        "%s (%s): logits of %d drawn images differ by at most %.2g. Its passport on test images "
        "comes with --run-dir.",
        *(title, exported.engine.name, len(images), np.abs(ours - theirs).max()),
    )
