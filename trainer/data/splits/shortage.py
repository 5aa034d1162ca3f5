"""Errors for classes with too few images to split, and how many to add."""

from __future__ import annotations

import numpy as np
from datasets import Dataset

from model_card.formatting import counted
from trainer.config.groups import DataConfig
from trainer.data.image_record import image_digest
from trainer.data.splits.pieces import Pieces, pieces_of
from trainer.errors import DataError

# Of classes, in a message.
LISTED = 5


def check_pieces(images: Dataset, pieces: Pieces, needed: int, config: DataConfig) -> None:
    """Check that each class has a piece of surface for each side.

    Raises:
        DataError: a class has too few; the message lists all of them, and what to add.
    """
    names, labels = images.features["label"].names, np.asarray(images["label"][:])
    short = np.flatnonzero(pieces.per_class < needed).tolist()
    if not short:
        return
    lines = []
    for label in short[:LISTED]:
        rows, separate = np.flatnonzero(labels == label), int(pieces.per_class[label])
        found = counted(len(rows), "image")
        if len(rows) > separate:
            found += (
                ", all copies of one picture"
                if _copies(images.select(rows))
                else f" of {counted(separate, 'separate piece')} of surface"
            )
        lines.append(f"  {names[label]}: {found} (add {needed - separate})")
    if len(short) > LISTED:
        lines.append(f"  and {len(short) - LISTED} more classes")
    sides = "one for each fold" if config.folds else "one to train on and one to test on"
    what = "images" if config.random_split else "images of separate pieces of surface"
    fewest = int(pieces.alone.min())
    advice = f", or use --folds {fewest}" if 2 < fewest < config.folds else ""
    raise DataError(
        f"Each class needs at least {needed} {what}, {sides}. Too few:\n"
        + "\n".join(lines)
        + f"\nAdd such images, or leave these classes out{advice}."
    )


def too_few_alone(images: Dataset, pieces: Pieces, label: int, needed: int) -> str:
    """Return the error for a class whose pieces show other classes too, so no split is possible."""
    names = images.features["label"].names
    others = listed([names[other] for other in pieces.neighbors(label)])
    return (
        f"The class {names[label]} shares pieces of surface with {others}, and no split was found "
        f"that has each class on each side. Add images of {names[label]} from "
        f"{needed - int(pieces.alone[label])} other pieces of surface that show no other class."
    )


def no_validation(images: Dataset, needed: int, config: DataConfig) -> str:
    """Return the error for a dataset without images for validation.

    Args:
        images: the images to split.
        needed: pieces of one class that would be enough.
        config: whether to split at random or by pieces of surface.
    """
    pieces = pieces_of(images, config)
    label = int(pieces.alone.argmax())
    what = "images" if config.random_split else "images of other pieces of surface"
    return (
        "No image is left for validation: each class has just enough to train and to test. Add "
        f"{what} to one class: {needed - int(pieces.alone[label])} to "
        f"{images.features['label'].names[label]}, for example."
    )


def listed(names: list[str]) -> str:
    """Join names, up to a limit."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _copies(images: Dataset) -> bool:
    """Return whether all files have the same bytes."""
    return "image" in images.column_names and len({image_digest(row) for row in images}) == 1
