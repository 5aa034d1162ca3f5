"""One check of the published model: how it is measured, joined over folds and drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import datasets

from model_card.schema.base import Schema
from model_card.schema.report import Figure
from space.inference.attribution import Explainer
from space.inference.predictor import Prediction, Predictor
from trainer.config.groups import ChecksConfig
from trainer.data.voc_boxes import BoxFolders

Facts = TypeVar("Facts", bound=Schema)


@dataclass(frozen=True)
class CheckedModel:
    """A published model, and the images and settings of its checks.

    Attributes:
        predictor: the model.
        explainer: draws its heatmaps; None if its stages can't be observed.
        test: images with the columns of `trainer.data.sources`.
        predictions: of these images.
        boxes: places of the boxes; none if there are none.
        settings: which checks to run.
        seed: of samples and corruptions.
    """

    predictor: Predictor
    explainer: Explainer | None
    test: datasets.Dataset
    predictions: Sequence[Prediction]
    boxes: BoxFolders
    settings: ChecksConfig
    seed: int


@dataclass(frozen=True)
class Check(Generic[Facts]):
    """A check; `model_card.schema.checks` has its facts, a template of its name shows them.

    Attributes:
        measure: returns the facts, None if the check is disabled or not possible.
        join: pools the facts of the folds of a cross-validation, of which there is at least one.
        draw: draws the facts into a published folder.
    """

    measure: Callable[[CheckedModel], Facts | None]
    join: Callable[[Sequence[Facts]], Facts]
    draw: Callable[[Facts, Path], Figure] | None = None
