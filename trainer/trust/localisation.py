"""Score heatmaps against boxes: does the model look at the defect?

Pointing game: Zhang et al., IJCV 126 (2018) 1084, without their tolerance. Energy inside the box:
Wang et al., CVPR Workshops 2020 (Score-CAM). Boxes that cover much of an image are hit by chance,
so both are told as lift over the share that the boxes cover.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import datasets
import numpy as np
import numpy.typing as npt

from model_card.facts import Score
from model_card.localisation import ClassLocalisation, Localisation
from space.heatmap import METHOD, Explainer
from trainer.errors import DataError
from trainer.imagefolder import open_image
from trainer.metrics.intervals import proportion
from trainer.names import printable
from trainer.trust.boxes import Box, mask, match_class, read_boxes

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


def choose_boxes(
    given: Path | None, found: Mapping[str, Path], tests: Sequence[datasets.Dataset]
) -> dict[str, Path]:
    """Return the folders of boxes to use, after all boxes of the test images were read.

    Training would be in vain if boxes that were asked for could not be used. Boxes that were found
    beside the images are left out, with a warning.

    Args:
        given: folder that the user names, for all images.
        found: folders that lie beside the images, as `read_boxes` takes them.
        tests: the test images, one dataset a fold.

    Raises:
        DataError: the boxes in `given` can't be used.
    """
    folders = dict(found) if given is None else {"": given}
    if not folders:
        return {}
    try:
        for test in tests:
            own_boxes(read_boxes(folders, test["file"][:]), test, test.features["label"].names)
    except DataError as error:
        if given is not None:
            raise
        logger.warning("The boxes beside the images are not used. %s", error)
        return {}
    if given is None:
        logger.info(
            "Heatmaps will be compared with the boxes in %s.",
            ", ".join(printable(str(folder)) for folder in folders.values()),
        )
    return folders


def measure_localisation(
    explainer: Explainer, test: datasets.Dataset, folders: Mapping[str, Path]
) -> Localisation:
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


def own_boxes(
    boxes: Mapping[str, Sequence[Box]], test: datasets.Dataset, labels: Sequence[str]
) -> dict[str, list[Box]]:
    """Return, by file, the boxes of the image's own class.

    Raises:
        DataError: no image has any.
    """
    truth = dict(zip(test["file"][:], test["label"][:], strict=True))
    names = Counter(box.name for found in boxes.values() for box in found)
    meant = {name: match_class(name, labels) for name in names}
    strangers = [f"{name} ({names[name]})" for name, label in meant.items() if label is None]
    if strangers:
        logger.warning("--boxes: these boxes mean no class: %s", ", ".join(sorted(strangers)))
    own = {
        file: [box for box in found if meant[box.name] == labels[truth[file]]]
        for file, found in boxes.items()
    }
    own = {file: found for file, found in own.items() if found}
    if not own:
        raise DataError(
            f"--boxes: no test image has a box of its own class. The boxes name "
            f"{', '.join(sorted(names)) or 'nothing'}; the classes are {', '.join(labels)}."
        )
    return own


def summarise(found: Sequence[Found], labels: Sequence[str]) -> Localisation:
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
            ClassLocalisation(
                label=label,
                images=len(own),
                area=area,
                energy=energy,
                energy_lift=energy / area,
                pointing=Score(**asdict(pointing)),
                pointing_lift=pointing.value / area,
            )
        )
    return Localisation(method=METHOD, images=len(found), classes=classes)


def join(parts: Sequence[Localisation]) -> Localisation | None:
    """Return what the folds of a cross-validation come to together; None without any."""
    if not parts:
        return None
    by_label: dict[str, list[ClassLocalisation]] = {}
    for part in parts:
        for facts in part.classes:
            by_label.setdefault(facts.label, []).append(facts)
    return Localisation(
        method=parts[0].method,
        images=sum(part.images for part in parts),
        classes=[_pooled(label, same) for label, same in by_label.items()],
    )


def _pooled(label: str, parts: Sequence[ClassLocalisation]) -> ClassLocalisation:
    images = [part.images for part in parts]
    area = float(np.average([part.area for part in parts], weights=images))
    energy = float(np.average([part.energy for part in parts], weights=images))
    hits = sum(round(part.pointing.value * part.images) for part in parts)
    pointing = proportion(hits, sum(images))
    return ClassLocalisation(
        label=label,
        images=sum(images),
        area=area,
        energy=energy,
        energy_lift=energy / area,
        pointing=Score(**asdict(pointing)),
        pointing_lift=pointing.value / area,
    )
