"""Score heatmaps against boxes: does the model look at the defect?

Pointing game: Zhang et al., IJCV 126 (2018) 1084, without their tolerance. Energy inside the box:
Wang et al., CVPR Workshops 2020 (Score-CAM). Boxes that cover much of an image are hit by chance,
so both are reported as lift over the share that the boxes cover.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import datasets
import numpy as np
import numpy.typing as npt

from model_card.schema.localization import ClassLocalization, Localization
from space.inference.attribution import METHOD, Explainer
from trainer.data.images.decoding import open_image
from trainer.data.voc_boxes import BoxFolders, mask, own_boxes, read_boxes
from trainer.evaluation.checks.check import Check, CheckedModel
from trainer.evaluation.metrics.intervals import proportion

logger = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HeatmapFit:
    """The fit of a heatmap to the boxes of its image.

    Attributes:
        label: the explained class.
        area: share of the image that the boxes cover.
        energy: share of the heatmap inside the boxes.
        pointing: whether the maximum of the heatmap is inside.
    """

    label: str
    area: float
    energy: float
    pointing: bool


def compare(label: str, heatmap: Array, inside: npt.NDArray[np.bool_]) -> HeatmapFit:
    """Return the fit of a heatmap; one that is zero everywhere is a miss.

    Args:
        label: the explained class.
        heatmap: without negative values, [row, column].
        inside: the pixels that the boxes cover, [row, column].
    """
    total = float(heatmap.sum())
    if total == 0:
        return HeatmapFit(label, float(inside.mean()), 0.0, False)
    return HeatmapFit(
        label=label,
        area=float(inside.mean()),
        energy=float(heatmap[inside].sum()) / total,
        pointing=bool(inside.flat[heatmap.argmax()]),
    )


def measure_localization(
    explainer: Explainer, test: datasets.Dataset, boxes: BoxFolders
) -> Localization:
    """Score the heatmap of the true class of each test image against its boxes.

    Raises:
        DataError: the boxes can't be used.
    """
    labels = test.features["label"].names
    wanted = own_boxes(read_boxes(boxes, test["file"][:]), test, labels)
    fits = []
    for row, file in enumerate(test["file"][:]):
        if file not in wanted:
            continue
        label = test[row]["label"]
        heatmap = explainer.explain(open_image(test[row]), label)
        fits.append(compare(labels[label], heatmap, mask(wanted[file], *heatmap.shape)))
    return summarize(fits, labels)


def summarize(fits: Sequence[HeatmapFit], labels: Sequence[str]) -> Localization:
    """Return the results by class, for classes that have images."""
    classes = []
    for label in labels:
        own = [one for one in fits if one.label == label]
        if not own:
            continue
        area = float(np.mean([one.area for one in own]))
        energy = float(np.mean([one.energy for one in own]))
        pointing = proportion(sum(one.pointing for one in own), len(own))
        classes.append(
            ClassLocalization(
                label=label,
                images=len(own),
                area=area,
                energy=energy,
                energy_lift=energy / area,
                pointing=pointing,
                pointing_lift=pointing.value / area,
            )
        )
    return Localization(method=METHOD, images=len(fits), classes=classes)


def join(folds: Sequence[Localization]) -> Localization:
    """Pool the folds of a cross-validation."""
    by_label: dict[str, list[ClassLocalization]] = {}
    for fold in folds:
        for facts in fold.classes:
            by_label.setdefault(facts.label, []).append(facts)
    return Localization(
        method=folds[0].method,
        images=sum(fold.images for fold in folds),
        classes=[_pooled(label, same) for label, same in by_label.items()],
    )


def _pooled(label: str, folds: Sequence[ClassLocalization]) -> ClassLocalization:
    images = [fold.images for fold in folds]
    area = float(np.average([fold.area for fold in folds], weights=images))
    energy = float(np.average([fold.energy for fold in folds], weights=images))
    hits = sum(round(fold.pointing.value * fold.images) for fold in folds)
    pointing = proportion(hits, sum(images))
    return ClassLocalization(
        label=label,
        images=sum(images),
        area=area,
        energy=energy,
        energy_lift=energy / area,
        pointing=pointing,
        pointing_lift=pointing.value / area,
    )


def _measure(model: CheckedModel) -> Localization | None:
    if model.explainer is None or not model.boxes:
        return None
    return measure_localization(model.explainer, model.test, model.boxes)


CHECK = Check(_measure, join)
