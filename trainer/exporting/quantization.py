"""int8 by NNCF, with as many layers left in float as the decisions need."""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence
from contextlib import redirect_stdout
from os import devnull
from pathlib import Path
from typing import Any

import nncf
from PIL import Image

from space.inference.core.arrays import Pixels
from space.inference.core.decision import Prediction
from space.inference.engines.openvino_cpu import OpenVINOEngine
from space.inference.engines.openvino_library import the_core
from space.inference.predictor import Predictor
from trainer.exporting.formats import Calibration
from trainer.exporting.passport import MOST_CHANGED, same_decision

logger = logging.getLogger(__name__)

# Layers with weights that int8 makes faster. Depthwise ones (GroupConvolution) gain nothing, and
# their channels have too different ranges.
LAYERS = ("Convolution", "MatMul")
# Stay in float: depthwise layers, normalization, the statistics of the novelty stages, additions.
FLOAT_TYPES = (
    *("GroupConvolution", "Add", "Subtract", "Multiply", "Divide", "Power", "Sqrt", "Log"),
    *("ReduceMean", "MVN"),
)
# Of the layers, from the first one: what stays in float. Early layers see the raw image, and the
# novelty stages follow them: with all but the first in int8, a lite0 decided 2.5 % of the NEU test
# images differently, though none of 113 validation images.
FLOAT_SHARES = (0.25, 0.5, 0.75)


def quantized(graph: bytes, predictor: Predictor, calibration: Calibration) -> Any:
    """Return an `openvino.Model` in int8 that decides as the network does, if one does.

    The first and the last layer stay in float, and more of the first ones until at most
    `MOST_CHANGED` of the decisions differ. If too many do to the end, the last model is returned:
    its passport says so. NNCF's own accuracy control ranks every layer on images, which takes more
    than seven minutes even for a small network.

    Args:
        graph: the network, in ONNX.
        predictor: of the same network.
        calibration: images that set the ranges of the activations, and images to compare.
    """
    logging.getLogger("nncf").setLevel(logging.ERROR)
    tiles = _tiles(predictor, calibration.images)
    compared = [predictor.prepare(image) for image in calibration.compared]
    expected = predictor.predict_from(predictor.observe_prepared(compared))
    for share in FLOAT_SHARES:
        model = the_core().read_model(graph)
        # Its bars go to stdout, which is for data.
        with Path(devnull).open("w") as nowhere, redirect_stdout(nowhere):
            model = nncf.quantize(
                model,
                nncf.Dataset(tiles),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(tiles),
                ignored_scope=_float_scope(model, share),
            )
        # NNCF made OpenVINO cores of its own; no other thread may drop them, see `the_core`.
        gc.collect()
        changed = _changed(model, predictor, compared, expected)
        logger.info(
            "int8 with %.0f %% of the layers in float changes %d of %d decisions.",
            *(100 * share, changed, len(compared)),
        )
        if changed <= MOST_CHANGED * len(compared):
            break
    return model


def _float_scope(model: Any, share: float) -> nncf.IgnoredScope:
    """Return what stays in float: a share of the layers, and always the first and the last."""
    layers = [
        each.get_friendly_name()
        for each in model.get_ordered_ops()
        if each.get_type_name() in LAYERS
    ]
    first = max(1, round(share * len(layers)))
    return nncf.IgnoredScope(
        names=[*layers[:first], *layers[-1:]], types=list(FLOAT_TYPES), validate=False
    )


def _changed(
    model: Any, predictor: Predictor, inputs: Sequence[Pixels], expected: Sequence[Prediction]
) -> int:
    """Return the number of images that a model decides differently."""
    engine = OpenVINOEngine(model, predictor.stages, precision="f32")
    found = predictor.predict_from(predictor.observe_prepared(inputs, engine))
    return sum(not same_decision(ours, own) for ours, own in zip(found, expected, strict=True))


def _tiles(predictor: Predictor, images: Sequence[Image.Image]) -> list[Pixels]:
    """Return the input pixels of all tiles, as batches of one."""
    return [tile[None] for image in images for tile in predictor.prepare(image)]
