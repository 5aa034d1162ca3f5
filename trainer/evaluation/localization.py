"""Score heatmaps against boxes: does the model look at the defect?

Pointing game: Zhang et al., IJCV 126 (2018) 1084, without their tolerance. Energy inside the box:
Wang et al., CVPR Workshops 2020 (Score-CAM). Boxes that cover much of an image are hit by chance,
so both are told as lift over the share that the boxes cover.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import datasets
import numpy as np
import numpy.typing as npt

from model_card.schema.base import Score
from model_card.schema.localization import ClassLocalization, Localization
from space.inference.attribution import METHOD, Explainer
from trainer.data.sources import open_image
from trainer.data.voc_boxes import mask, own_boxes, read_boxes
from trainer.evaluation.metrics.intervals import proportion

logger = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """How a heatmap fits the boxes of its image.

    Attributes:
        label: the class that was explained.
        area: share of the image that the boxes cover.
        energy: share of the heatmap that lies in them.
        pointing: whether its maximum does.
    """

    label: str
    area: float
    energy: float
    pointing: bool


def compare(label: str, heatmap: Array, inside: npt.NDArray[np.bool_]) -> Found:
    """Return how a heatmap fits; one that is zero everywhere points nowhere.

    Args:
        label: the class that it explains.
        heatmap: nowhere below 0, [row, column].
        inside: which pixels the boxes cover, likewise.
    """
    total = float(heatmap.sum())
    if total == 0:
        return Found(label, float(inside.mean()), 0.0, False)
    return Found(
        label=label,
        area=float(inside.mean()),
        energy=float(heatmap[inside].sum()) / total,
        pointing=bool(inside.flat[heatmap.argmax()]),
    )


def measure_localization(
    explainer: Explainer, test: datasets.Dataset, folders: Mapping[str, Path]
) -> Localization:
    """Score the heatmap of the true class of each test image against its boxes in `folders`.

    Raises:
        DataError: the boxes can't be used.
    """
    labels = test.features["label"].names
    wanted = own_boxes(read_boxes(folders, test["file"][:]), test, labels)
    found = []
    for row, file in enumerate(test["file"][:]):
        if file not in wanted:
            continue
        label = test[row]["label"]
        heatmap = explainer.explain(open_image(test[row]), label)
        found.append(compare(labels[label], heatmap, mask(wanted[file], *heatmap.shape)))
    return summarise(found, labels)


def summarise(found: Sequence[Found], labels: Sequence[str]) -> Localization:
    """Return the facts by class, for classes that have images."""
    classes = []
    for label in labels:
        own = [one for one in found if one.label == label]
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
                pointing=Score(**asdict(pointing)),
                pointing_lift=pointing.value / area,
            )
        )
    return Localization(method=METHOD, images=len(found), classes=classes)


def join(parts: Sequence[Localization]) -> Localization | None:
    """Return what the folds of a cross-validation come to together; None without any."""
    if not parts:
        return None
    by_label: dict[str, list[ClassLocalization]] = {}
    for part in parts:
        for facts in part.classes:
            by_label.setdefault(facts.label, []).append(facts)
    return Localization(
        method=parts[0].method,
        images=sum(part.images for part in parts),
        classes=[_pooled(label, same) for label, same in by_label.items()],
    )


def _pooled(label: str, parts: Sequence[ClassLocalization]) -> ClassLocalization:
    images = [part.images for part in parts]
    area = float(np.average([part.area for part in parts], weights=images))
    energy = float(np.average([part.energy for part in parts], weights=images))
    hits = sum(round(part.pointing.value * part.images) for part in parts)
    pointing = proportion(hits, sum(images))
    return ClassLocalization(
        label=label,
        images=sum(images),
        area=area,
        energy=energy,
        energy_lift=energy / area,
        pointing=Score(**asdict(pointing)),
        pointing_lift=pointing.value / area,
    )
