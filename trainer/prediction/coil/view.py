"""The coil view: strips of overlapping images, and their defects, each counted once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from model_card.formatting import counted
from space.inference.core.classifier import Classifier
from space.inference.images.decoding import Decoder
from space.inference.predictor import ImageError
from trainer.data.overlap_search.orientations import Array
from trainer.errors import UserError
from trainer.monitoring.progress import ProgressBar
from trainer.prediction.coil.crop import Crop
from trainer.prediction.coil.defects import Defect, Explain, find_defects
from trainer.prediction.coil.heat import heat_source
from trainer.prediction.coil.neighbors import find_neighbors
from trainer.prediction.coil.strips import Strip, lay_out_strips

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """A piece of surface.

    Attributes:
        number: of the strip, from 1.
        strip: its images; perhaps a single one.
        defects: each once.
        by_crop: number of its images that show a defect, by class.
        outcomes: number of its images by verdict.
    """

    number: int
    strip: Strip
    defects: list[Defect]
    by_crop: Counter[str]
    outcomes: Counter[str]

    @property
    def once(self) -> Counter[str]:
        """The number of defects by class."""
        return Counter(defect.label for defect in self.defects)


@dataclass(frozen=True)
class Coil:
    """All pieces of surface of a folder.

    Attributes:
        crops: the images, by index.
        pieces: ordered by first image.
        labels: the classes of defects.
        dropped_links: overlaps that contradicted the others.
        with_heat: whether heatmaps show where a defect is; if not, it fills its image.
    """

    crops: list[Crop]
    pieces: list[Piece]
    labels: list[str]
    dropped_links: int
    with_heat: bool

    @property
    def once(self) -> Counter[str]:
        """The number of defects by class, each counted once."""
        return sum((piece.once for piece in self.pieces), Counter())

    @property
    def by_crop(self) -> Counter[str]:
        """The number of images that show a defect, by class."""
        return sum((piece.by_crop for piece in self.pieces), Counter())

    def summary(self) -> str:
        """Return the counts in a sentence or two."""
        single = sum(len(piece.strip.places) == 1 for piece in self.pieces)
        words = [
            f"{label} {self.once[label]:,} (in {counted(self.by_crop[label], 'image')})"
            for label in self.labels
            if self.by_crop[label]
        ]
        lines = [
            f"{counted(len(self.pieces), 'piece')} of surface, "
            f"{single:,} of them with a single image.",
            f"Defects, each counted once: {', '.join(words) or 'none'}.",
        ]
        if self.dropped_links:
            lines.append(
                f"{counted(self.dropped_links, 'overlap')} contradicted the others and "
                f"{'was' if self.dropped_links == 1 else 'were'} not used."
            )
        return " ".join(lines)


def defect_labels(predictor: Classifier) -> list[str]:
    """Return the classes of a model without the one that means no defect."""
    decision = predictor.decision
    no_defect = decision.rules.costs.no_defect if decision else None
    return [label for label in predictor.labels if label != no_defect]


def merge_overlaps(predictor: Classifier, crops: Sequence[Crop], cache_dir: Path | None) -> Coil:
    """Lay out the images as strips and count their defects.

    Args:
        predictor: the model that answered.
        crops: the images that could be read.
        cache_dir: folder of cached overlap searches; None is the user's cache folder.

    Raises:
        UserError: an image was removed meanwhile, or the cache is damaged.
    """
    logger.info("Searching %s for overlaps …", counted(len(crops), "image"))
    neighbors = find_neighbors(crops, predictor.bit_depth, cache_dir)
    strips, dropped = lay_out_strips(neighbors.links, neighbors.shapes)
    with Decoder(1) as decoder:
        explain = heat_source(predictor, neighbors.crops, decoder)
        try:
            pieces = _pieces(strips, neighbors.crops, explain)
        except ImageError as error:
            raise UserError(
                f"An image changed while the overlaps were merged: {error} Run the command again."
            ) from error
    coil = Coil(
        crops=neighbors.crops,
        pieces=pieces,
        labels=defect_labels(predictor),
        dropped_links=len(dropped),
        with_heat=explain is not None,
    )
    logger.info("%s", coil.summary())
    return coil


def _pieces(strips: Sequence[Strip], crops: Sequence[Crop], explain: Explain | None) -> list[Piece]:
    labels = [crop.defect for crop in crops]
    bar = ProgressBar("locate defects", sum(label is not None for label in labels))

    def counted_heat(source: Explain, image: int, label: str) -> Array:
        bar.advance(1)
        return source(image, label)

    located = partial(counted_heat, explain) if explain else None
    pieces = []
    try:
        for number, strip in enumerate(strips, 1):
            images = [place.image for place in strip.places]
            pieces.append(
                Piece(
                    number=number,
                    strip=strip,
                    defects=find_defects(strip, labels, located),
                    by_crop=Counter(label for i in images if (label := labels[i]) is not None),
                    outcomes=Counter(crops[i].outcome for i in images),
                )
            )
    finally:
        bar.close()
    return pieces
