"""A classifier around any engine: images in, predictions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ..multilabel.thresholds import sigmoid
from .arrays import Floats, Pixels
from .decision import Decision, Prediction, softmax
from .errors import ModelError, shortened
from .preprocessing import Preprocessing
from .tiling import TILES_AT_ONCE, cut, mean_of_tiles, pool


@dataclass(frozen=True)
class Observation:
    """The outputs of the network, float32.

    Attributes:
        logits: [image, class].
        statistics: mean and logarithm of the standard deviation of each channel, one
            [image, 2 × channel] for each stage.
    """

    logits: Floats
    statistics: list[Floats]


class Engine(Protocol):
    """What runs the network."""

    @property
    def name(self) -> str:
        """Library, version and precision, for people."""

    @property
    def batches_at_once(self) -> int:
        """Batches that take less time beside each other, in threads, than one after another."""

    def run(self, pixels: Pixels) -> Observation:
        """Run the network on pixels of its input size, [image, row, column, 3]."""


@dataclass(frozen=True)
class Facts:
    """What a model's files say beside its weights.

    Attributes:
        origin: of the model, for messages.
        labels: class names, in the order of the outputs.
        preprocessing: from an image to pixels.
        bit_depth: significant bits of 16-bit images.
        tile: whether long images are cut into squares; see `tiling`.
        multi_label: whether each class has a sigmoid, so that an image has several classes.
    """

    origin: str
    labels: list[str]
    preprocessing: Preprocessing
    bit_depth: int
    tile: bool
    multi_label: bool = False


class Classifier:
    """A published classifier, ready to predict.

    Args:
        facts: of the model.
        decision: None for a model that was published without one.
        engine: runs the network; its statistics are those that the decision needs.
    """

    def __init__(self, facts: Facts, decision: Decision | None, engine: Engine) -> None:
        self.facts, self.decision, self.engine = facts, decision, engine
        self.labels, self.bit_depth, self.tile = facts.labels, facts.bit_depth, facts.tile

    @property
    def files(self) -> list[Path]:
        """The files that determine an answer, of a classifier that was loaded from some."""
        raise TypeError(f"{type(self)} has no files.")

    def tiles(self, image: Image.Image) -> list[Image.Image]:
        """Return the network's input pictures for an image: its squares, or the whole image."""
        return cut(image) if self.tile else [image]

    def prepare(self, image: Image.Image) -> Pixels:
        """Return the pixels that the network sees of an RGB image: [tile, row, column, 3]."""
        return self.facts.preprocessing.tiles(image, tile=self.tile)

    def observe_prepared(
        self, inputs: Sequence[Pixels], engine: Engine | None = None
    ) -> Observation:
        """Run the network on what `prepare` returned for each image.

        Args:
            inputs: of at least one image.
            engine: instead of the classifier's own.

        Raises:
            ModelError: an output is not a finite number.
        """
        engine = engine or self.engine
        tiles, counts = np.concatenate(inputs), [len(each) for each in inputs]
        seen = [
            engine.run(tiles[first : first + TILES_AT_ONCE])
            for first in range(0, len(tiles), TILES_AT_ONCE)
        ]
        logits = np.concatenate([each.logits for each in seen])
        stages = zip(*(each.statistics for each in seen), strict=True)
        statistics = [np.concatenate(maps) for maps in stages]
        if not all(np.isfinite(values).all() for values in (logits, *statistics)):
            raise ModelError(
                f"The model in {self.facts.origin} computes non-finite outputs for this image: its "
                "weights are damaged. Publish it again."
            )
        return Observation(pool(logits, counts), [mean_of_tiles(s, counts) for s in statistics])

    def observe(self, images: Sequence[Image.Image]) -> Observation:
        """Run the network on RGB images (from `read_image`), once for each tile.

        Raises:
            ModelError: an output is not a finite number.
        """
        return self.observe_prepared([self.prepare(image) for image in images])

    def predict_from(self, observation: Observation) -> list[Prediction]:
        """Return the prediction for each observed image.

        Without a decision, probabilities are a plain softmax, or plain sigmoids; then the classes
        from one half on are named.
        """
        if self.decision is not None:
            return self.decision.apply(observation.logits, observation.statistics)
        if self.facts.multi_label:
            return [self._several(row) for row in sigmoid(observation.logits).tolist()]
        rows = softmax(observation.logits).tolist()
        return [Prediction(dict(zip(self.labels, row, strict=True))) for row in rows]

    def _several(self, row: list[float]) -> Prediction:
        named = sorted((p, label) for p, label in zip(row, self.labels, strict=True) if p >= 0.5)
        names = tuple(label for _, label in reversed(named))
        return Prediction(dict(zip(self.labels, row, strict=True)), defects=names)

    def predict(self, images: Sequence[Image.Image]) -> list[Prediction]:
        """Return the prediction for each RGB image (from `read_image`)."""
        return self.predict_from(self.observe(images))

    def try_out(self) -> None:
        """Predict one gray image, so that a broken model fails at the start.

        Raises:
            ModelError: the prediction fails.
        """
        try:
            self.predict([Image.new("RGB", (64, 64), "gray")])
        except ModelError:
            raise
        # Each network fails in its own way when its files do not match.
        except Exception as error:
            raise ModelError(
                f"The model in {self.facts.origin} can't predict an image: {shortened(error)}\n"
                "Its files do not match. Publish it again."
            ) from error
