"""Read a folder of corrections: one image each, with the class on which all corrections agree."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasets import Dataset

from model_card.schema.run.data import SkippedImage
from space.feedback.record import KINDS, Correction
from space.feedback.store import CORRECTIONS, IMAGES, image_path, read_corrections
from trainer.data.collection import with_source
from trainer.data.images.bit_depth import with_bit_depth
from trainer.data.images.decoding import decode_each
from trainer.data.images.encoded import image_rows, stored_image
from trainer.errors import DataError

# In the column `source`.
FEEDBACK = "feedback"


@dataclass(frozen=True)
class CorrectedImage:
    """An image and the corrections of it, by time.

    Attributes:
        file: name of the image in splits and messages.
        path: of the stored file.
    """

    file: str
    path: Path
    corrections: list[Correction]

    @property
    def said(self) -> list[str]:
        """What the corrections say, each once, the most frequent first."""
        return [says for says, _ in Counter(each.says for each in self.corrections).most_common()]

    @property
    def agrees(self) -> bool:
        """Whether all corrections say the same."""
        return len({(each.kind, each.label) for each in self.corrections}) == 1

    @property
    def label(self) -> str | None:
        """The class on which all corrections agree; None if there is none."""
        return self.corrections[0].label if self.agrees else None


@dataclass(frozen=True)
class Feedback:
    """The content of a folder of corrections.

    Attributes:
        folder: where it is.
        images: the corrected ones, by time.
        superseded: number of corrections that their visitors replaced.
        damaged: files that can't be used, and why.
    """

    folder: Path
    images: list[CorrectedImage]
    superseded: int
    damaged: list[SkippedImage] = field(default_factory=list)

    @property
    def corrections(self) -> int:
        """Number of corrections that count."""
        return sum(len(image.corrections) for image in self.images)


def read_feedback(folder: Path) -> Feedback:
    """Read the folder that `FEEDBACK_DIR` names for a web page.

    Raises:
        DataError: it is none, or is empty.
    """
    if not (folder / CORRECTIONS).is_dir():
        raise DataError(
            f"--feedback {folder} has no folder {CORRECTIONS}. Name the folder that FEEDBACK_DIR "
            "names for a web page, or a copy of its dataset."
        )
    try:
        stored = read_corrections(folder)
    except OSError as error:
        raise DataError(f"--feedback {folder} can't be read: {error.strerror}.") from error
    if not stored.corrections and not stored.damaged:
        raise DataError(f"--feedback {folder} has no corrections. Leave --feedback out.")
    damaged = [SkippedImage(file=name, reason=why) for name, why in stored.damaged.items()]
    by_image: dict[str, list[Correction]] = {}
    for correction in stored.corrections:
        by_image.setdefault(correction.image, []).append(correction)
    images = []
    for digest, corrections in by_image.items():
        path, name = image_path(folder, corrections[0]), f"feedback/{digest[:24]}.png"
        if reason := _trouble(path, digest):
            damaged.append(SkippedImage(file=f"{IMAGES}/{path.name}", reason=reason))
        else:
            images.append(CorrectedImage(name, path, corrections))
    return Feedback(folder, images, stored.superseded, damaged)


def _trouble(path: Path, digest: str) -> str | None:
    """Return why an image is not the one that was stored; None if it is."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    return None if hashlib.sha256(content).hexdigest() == digest else "its content was changed"


def as_rows(
    images: Sequence[tuple[CorrectedImage, str]], labels: Iterable[str], depth: int
) -> tuple[Dataset, list[SkippedImage]]:
    """Return images and their classes with the columns of `trainer.data.sources`.

    Args:
        images: each with its class.
        labels: all classes, in the order of the network's outputs.
        depth: significant bits of samples of more than 8.

    Returns:
        the rows that can be read, and the files that can't.
    """
    names = list(labels)
    rows = image_rows(
        [stored_image(str(image.path)) for image, _ in images],
        [names.index(label) for _, label in images],
        [image.file for image, _ in images],
        names,
    )
    rows = with_source(with_bit_depth(rows, depth), FEEDBACK)
    readable, _, bad = decode_each(rows, "checking feedback", lambda decoded, image: None)
    return readable, bad


def without_class(images: Iterable[CorrectedImage]) -> dict[str, int]:
    """Return how many images all corrections call several defects, none of these, or not usable."""
    said = Counter(each.corrections[0].kind for each in images if each.agrees)
    return {words: said[kind] for kind, words in KINDS.items() if said[kind]}
