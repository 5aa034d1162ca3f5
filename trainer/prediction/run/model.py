"""The model that predicts: a published folder or an exported file."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import BaseModel

from model_card.schema.report import REPORT_FILE
from space.inference.core.classifier import Classifier
from space.inference.engines.names import EngineName
from space.inference.exported.model_file import SUFFIXES as EXPORTED_SUFFIXES
from space.inference.exported.model_file import ExportedClassifier
from space.inference.model_folder import ModelFolder
from space.inference.predictor import Predictor
from trainer.errors import ConfigError
from trainer.prediction.options import Selection

logger = logging.getLogger(__name__)


def load_predictor(model_id: str, engine: EngineName, selection: Selection) -> Classifier:
    """Load a published model for an engine, or an exported file, and report the engine.

    Raises:
        ModelError: it can't be used.
        ConfigError: it lacks a class of the selection.
    """
    if Path(model_id).suffix.lower() in EXPORTED_SUFFIXES:
        if engine != "auto":
            raise ConfigError(
                f"--engine {engine} is for published models; an exported file has its own engine. "
                "Leave the option out."
            )
        exported = ExportedClassifier(Path(model_id))
        logger.info("The network runs on %s.", exported.engine.name)
        selection.check_labels(exported.labels)
        return exported
    predictor = Predictor.load(model_id, engine)
    logger.info("The network runs on %s.", predictor.engine.name)
    selection.check_labels(predictor.labels)
    _warn_of_drawings(predictor.folder)
    return predictor


class _Origin(BaseModel):
    """What a report says of the training images, as far as it matters here."""

    class Data(BaseModel):
        """Source of the images."""

        kind: str

    data: Data


def _warn_of_drawings(folder: Path) -> None:
    """Warn if the model never saw a photograph; models without a report may be anything.

    Raises:
        ModelError: the report is damaged.
    """
    files = ModelFolder(folder)
    if files.has(REPORT_FILE) and files.read_json(REPORT_FILE, _Origin).data.kind == "drawn":
        logger.warning(
            "This model was trained on drawings: its answers are not valid for photographs."
        )
