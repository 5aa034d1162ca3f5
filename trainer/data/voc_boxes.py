"""Read the bounding boxes of defects: Pascal VOC, one XML file per image.

The format is that of http://host.robots.ox.ac.uk/pascal/VOC/: pixels are counted from 1, and both
corners belong to the box.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import datasets
import numpy as np
import numpy.typing as npt
from defusedxml import DTDForbidden, ElementTree

from trainer.errors import DataError
from trainer.text.names import printable

logger = logging.getLogger(__name__)

# Real files have a few kilobytes.
LARGEST_FILE_BYTES = 2**20


@dataclass(frozen=True)
class Box:
    """One bounding box: from 0 to 1 over the sides of the image, y downwards."""

    name: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class BoxFolders:
    """Where boxes are, and what their names mean.

    Attributes:
        folders: by the folder of the annotated images ("" for all). Each holds, for an image
            `<place>/<stem>.<suffix>` below that folder, `<place>/<stem>.xml` or `<stem>.xml`.
        classes: by the folder of a source's images ("" for all): the class of the model by the name
            in the data; None leaves the boxes of a class out. Empty without --class-map.
    """

    folders: Mapping[str, Path] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.folders)

    def joined(self, other: BoxFolders, prefix: str) -> BoxFolders:
        """Return these and those of another source, whose images' names begin with `prefix`."""

        def below(images: str) -> str:
            return (prefix + images).rstrip("/")

        return BoxFolders(
            {**self.folders, **{below(images): own for images, own in other.folders.items()}},
            {**self.classes, **{below(images): own for images, own in other.classes.items()}},
        )

    def renamed(self, boxes: Sequence[Box], file: str) -> list[Box]:
        """Return the boxes of an image with the classes of the model that their names mean."""
        classes = next((own for images, own in self.classes.items() if _is_below(file, images)), {})
        found = []
        for box in boxes:
            name = match_class(box.name, list(classes))
            meant = box.name if name is None else classes[name]
            if meant is not None:
                found.append(replace(box, name=meant))
        return found


def read_boxes(places: BoxFolders, files: Sequence[str]) -> dict[str, list[Box]]:
    """Return the boxes of the images that have a box file.

    Args:
        places: of the boxes.
        files: names of the images.

    Raises:
        DataError: no image has boxes, two have the same stem, or a file can't be used.
    """
    found: dict[str, list[Box]] = {}
    owners: dict[Path, str] = {}
    for file in files:
        path = _file_of(places.folders, file)
        if path is None:
            continue
        if path in owners:
            raise DataError(
                f"--boxes: {path} could belong to {owners[path]} or to {file}. Put the boxes into "
                "folders like those of the images."
            )
        owners[path] = file
        found[file] = places.renamed(read_voc(path), file)
    if not found:
        folders = ", ".join(str(folder) for folder in places.folders.values())
        raise DataError(
            f"--boxes: {folders} holds no boxes for any of the {len(files)} test images, as in "
            f"{PurePosixPath(files[0]).stem}.xml for {files[0]}."
        )
    return found


def _file_of(folders: Mapping[str, Path], file: str) -> Path | None:
    """Return the box file of an image, from the folder nearest to it."""
    for images, folder in sorted(folders.items(), key=lambda item: -len(item[0])):
        if not _is_below(file, images):
            continue
        inner = PurePosixPath(file[len(images) :].lstrip("/")).with_suffix(".xml")
        for path in (folder / inner, folder / inner.name):
            if path.is_file():
                return path
    return None


def _is_below(file: str, images: str) -> bool:
    return not images or file.startswith(f"{images}/")


def read_voc(file: Path) -> list[Box]:
    """Return the boxes of one Pascal VOC file.

    Raises:
        DataError: it is damaged, or a box is outside the image.
    """
    try:
        content = file.read_bytes()
        if len(content) > LARGEST_FILE_BYTES:
            raise ValueError(f"it has {len(content):,} bytes, far more than boxes need")
        # Entities can make a small file fill the memory; no tool writes them into boxes.
        root = ElementTree.fromstring(content, forbid_dtd=True)
        width, height = (_number(root, f"size/{side}") for side in ("width", "height"))
        if not (width >= 1 and height >= 1):
            raise ValueError(f"the image would have {width:g} × {height:g} pixels")
        return [_box(entry, width, height) for entry in root.iter("object")]
    except DTDForbidden as error:
        raise DataError(
            f"--boxes: {file} is not usable: it declares a document type. Fix or remove the file."
        ) from error
    # LookupError: an unknown encoding.
    except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:
        raise DataError(
            f"--boxes: {file} is not usable: {error}. Fix or remove the file."
        ) from error


def _box(entry: Element, width: float, height: float) -> Box:
    name = (entry.findtext("name") or "").strip()
    if not name:
        raise ValueError("a box has no name")
    corners = [_number(entry, f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    # Some tools count from 0; others write boxes slightly larger than the image.
    left, right = np.clip([corners[0] - 1, corners[2]], 0, width) / width
    top, bottom = np.clip([corners[1] - 1, corners[3]], 0, height) / height
    if not (left < right and top < bottom):
        listed = ", ".join(f"{corner:g}" for corner in corners)
        raise ValueError(f"the box {listed} of {name} is empty or outside the image")
    return Box(name, float(left), float(top), float(right), float(bottom))


def _number(element: Element, path: str) -> float:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"{path} is missing")
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(f"{path} is {text.strip()}")
    return value


def match_class(name: str, labels: Sequence[str]) -> str | None:
    """Return the class that a box name means: the same word, or one a prefix of the other.

    Case and punctuation are ignored: “pitted_surface” means a class Pitted.
    """
    plain = _letters(name)
    matches = [
        label
        for label in labels
        if (own := _letters(label)) and (plain.startswith(own) or own.startswith(plain))
    ]
    # The longest match: “scratch_deep” means “scratch deep”, not “scratch”.
    exact = [label for label in matches if _letters(label) == plain]
    ranked = exact or sorted(matches, key=lambda label: -len(_letters(label)))
    return ranked[0] if plain and ranked else None


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def mask(boxes: Sequence[Box], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Return a mask of the pixels whose center is in a box, [row, column]."""
    rows = (np.arange(height)[:, None] + 0.5) / height
    columns = (np.arange(width)[None, :] + 0.5) / width
    inside = np.zeros((height, width), bool)
    for box in boxes:
        inside |= (
            (box.left <= columns) & (columns < box.right) & (box.top <= rows) & (rows < box.bottom)
        )
    return inside


def choose_boxes(
    given: Path | None, found: BoxFolders, tests: Sequence[datasets.Dataset]
) -> BoxFolders:
    """Return the box folders to use, after reading all boxes of the test images.

    Boxes that the user asked for must be usable, or training would be wasted. Unusable boxes that
    were found beside the images are ignored with a warning.

    Args:
        given: folder that the user set, for all images.
        found: folders beside the images, and the names of the classes.
        tests: the test images, one dataset per fold.

    Raises:
        DataError: the boxes in `given` can't be used.
    """
    places = found if given is None else replace(found, folders={"": given})
    if not places:
        return places
    try:
        for test in tests:
            own_boxes(read_boxes(places, test["file"][:]), test, test.features["label"].names)
    except DataError as error:
        if given is not None:
            raise
        logger.warning("The boxes beside the images are not used. %s", error)
        return BoxFolders()
    if given is None:
        logger.info(
            "Heatmaps will be compared with the boxes in %s.",
            ", ".join(printable(str(folder)) for folder in places.folders.values()),
        )
    return places


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
    unmatched = [f"{name} ({names[name]})" for name, label in meant.items() if label is None]
    if unmatched:
        logger.warning("--boxes: no class matches these boxes: %s", ", ".join(sorted(unmatched)))
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
