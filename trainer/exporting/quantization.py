"""int8 by NNCF, with as many layers left in float as the decisions need."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import nncf
import numpy as np
from nncf.quantization.advanced_parameters import AdvancedAccuracyRestorerParameters
from PIL import Image

from space.inference.core.arrays import Pixels
from space.inference.core.classifier import Classifier, Observation
from space.inference.core.decision import Prediction
from space.inference.engines.names import INPUT, output_names
from space.inference.engines.openvino_library import openvino
from space.inference.predictor import Predictor
from trainer.exporting.formats import Calibration
from trainer.exporting.passport import same_decision

# Share of decisions that may change on the compared images.
LARGEST_DROP = 0.005
# Images that rank the layers, and layers that may return to float; both take time.
RANKING_IMAGES, MOST_LAYERS = 32, 8


def quantized(graph: bytes, predictor: Predictor, calibration: Calibration) -> Any:
    """Return an `openvino.Model` in int8 that decides as the network does.

    NNCF quantizes all layers, and returns those to float that change the most decisions until at
    most `LARGEST_DROP` of them differ.

    Args:
        graph: the network, in ONNX.
        predictor: of the same network.
        calibration: images that set the ranges of the activations, and images to compare.
    """
    logging.getLogger("nncf").setLevel(logging.ERROR)
    tiles = _tiles(predictor, calibration.images)
    compared = [predictor.prepare(image) for image in calibration.compared]
    expected = predictor.predict_from(predictor.observe_prepared(compared))
    agreement = _Agreement(predictor, expected)
    return nncf.quantize_with_accuracy_control(
        openvino.Core().read_model(graph),
        calibration_dataset=nncf.Dataset(list(tiles)),
        validation_dataset=nncf.Dataset(list(enumerate(compared)), lambda item: item[1]),
        validation_fn=agreement,
        max_drop=LARGEST_DROP,
        drop_type=nncf.DropType.ABSOLUTE,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(tiles),
        advanced_accuracy_restorer_parameters=AdvancedAccuracyRestorerParameters(
            ranking_subset_size=min(RANKING_IMAGES, len(compared)), max_num_iterations=MOST_LAYERS
        ),
    )


class _Agreement:
    """Share of images that a compiled model decides as the network does."""

    def __init__(self, classifier: Classifier, expected: Sequence[Prediction]) -> None:
        self.classifier, self.expected = classifier, expected
        self._names = output_names(getattr(classifier, "stages", []))

    def __call__(self, compiled: Any, items: Iterator[Any]) -> tuple[float, list[float]]:
        """Return the share, and for each image whether it is decided alike."""
        engine = _Compiled(compiled, self._names)
        numbers, inputs = zip(*items, strict=True)
        predictions = self.classifier.predict_from(self.classifier.observe_prepared(inputs, engine))
        same = [
            float(same_decision(prediction, self.expected[number]))
            for number, prediction in zip(numbers, predictions, strict=True)
        ]
        return float(np.mean(same)), same


class _Compiled:
    """A model that NNCF compiled, as an engine."""

    name = "OpenVINO"

    def __init__(self, compiled: Any, names: Sequence[str]) -> None:
        self.compiled, self._names = compiled, names

    def run(self, pixels: Pixels) -> Observation:
        """Run the network on pixels of its input size, [image, row, column, 3]."""
        outputs = self.compiled({INPUT: pixels})
        logits, *statistics = (outputs[name] for name in self._names)
        return Observation(logits, statistics)


def _tiles(predictor: Predictor, images: Sequence[Image.Image]) -> list[Pixels]:
    """Return the input pixels of all tiles, as batches of one."""
    return [tile[None] for image in images for tile in predictor.prepare(image)]
