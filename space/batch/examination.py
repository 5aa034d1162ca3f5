"""What is computed of each image of a batch: its prediction, and statistics that show a drift."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL import Image

    from space.inference.core.arrays import Floats
    from space.inference.core.decision import Prediction
    from space.inference.predictor import Predictor

# In a Space on the Hub, `inference` is a sibling of this package.
if TYPE_CHECKING or __package__.startswith("space"):
    from space.inference.core.errors import ModelError
    from space.inference.drift.baseline import BASELINE_FILE, Baseline
    from space.inference.drift.image_statistics import image_statistics
    from space.inference.model_folder import ModelFolder
else:
    from inference.core.errors import ModelError
    from inference.drift.baseline import BASELINE_FILE, Baseline
    from inference.drift.image_statistics import image_statistics
    from inference.model_folder import ModelFolder

logger = logging.getLogger("space")


class Examination(NamedTuple):
    """Prediction and statistics of an image.

    Attributes:
        prediction: of the model.
        statistics: from `image_statistics`; None if the model's baseline has none.
    """

    prediction: Prediction
    statistics: Floats | None = None


class Examiner:
    """Examines single images.

    Args:
        predictor: the model.

    Attributes:
        baseline: the healthy images of the model; None if it has none that can be used.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.baseline = _read_baseline(predictor)

    def examine(self, image: Image.Image) -> Examination:
        """Predict an RGB image, and compute its statistics.

        Raises:
            ModelError: an output of the network is not a finite number.
        """
        inputs = self._predictor.prepare(image)
        [prediction] = self._predictor.predict_from(self._predictor.observe_prepared([inputs]))
        measured = self.baseline is not None and self.baseline.images is not None
        return Examination(prediction, image_statistics(inputs) if measured else None)


def _read_baseline(predictor: Predictor) -> Baseline | None:
    files = ModelFolder(predictor.folder)
    if not files.has(BASELINE_FILE):
        return None
    try:
        baseline = files.read_json(BASELINE_FILE, Baseline)
    # The model itself is fine; the page works without this comparison.
    except ModelError as error:
        logger.warning("Batches are not compared with the test images: %s", error)
        return None
    if baseline.labels != predictor.labels or not baseline.predicted:
        logger.warning(
            "Batches are not compared with the test images: %s belongs to another model.",
            predictor.folder / BASELINE_FILE,
        )
        return None
    return baseline
