"""Heatmaps of predicted images, in the coordinates of the whole image."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from space.inference.attribution import make_explainer
from space.inference.core.classifier import Classifier
from space.inference.images.decoding import Decoder
from trainer.data.overlap_search.orientations import Array
from trainer.prediction.coil.crop import Crop
from trainer.prediction.coil.defects import Explain

logger = logging.getLogger(__name__)


def heat_source(predictor: Classifier, crops: Sequence[Crop], decoder: Decoder) -> Explain | None:
    """Return what computes the heatmap of an image; None if the network supports none.

    Args:
        predictor: the model.
        crops: the images, by index.
        decoder: decodes them.
    """
    explainer = make_explainer(predictor)
    if explainer is None:
        logger.warning("Without heatmaps, a defect is taken to fill its image.")
        return None

    def explain(image: int, label: str) -> Array:
        picture = decoder.read(crops[image].path, predictor.bit_depth)
        heat = explainer.explain(picture, predictor.labels.index(label))
        if explainer.seen(picture) is picture:
            return heat
        share = predictor.facts.preprocessing.crop_pct
        return _surrounded(heat, picture.size, share)

    return explain


def _surrounded(heat: Array, size_px: tuple[int, int], share: float) -> Array:
    """Return the heatmap of a central square with the cold rest of its image around it.

    Args:
        heat: of the square, [row, column].
        size_px: width and height of the image.
        share: of the shorter side that the square covers.
    """
    width, height = (round(side / (share * min(size_px)) * len(heat)) for side in size_px)
    whole = np.zeros((max(height, len(heat)), max(width, len(heat))))
    top, left = (whole.shape[0] - len(heat)) // 2, (whole.shape[1] - len(heat)) // 2
    whole[top : top + len(heat), left : left + len(heat)] = heat
    return whole
