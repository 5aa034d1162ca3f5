"""Splits that only some sources have: they are kept, and completed from the other sources.

The test images of a source that has a test split stay the same whatever is added to them, so its
accuracy compares with that of a model of this source alone.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets

from model_card.formatting import counted, enumeration
from trainer.config.groups import DataConfig
from trainer.data.collection import source_names, with_mapped_classes
from trainer.data.splits.shares import cut_share
from trainer.errors import DataError
from trainer.text.names import listed, printable

logger = logging.getLogger(__name__)

HELD_OUT = ("test", "validation")


@dataclass(frozen=True)
class GivenSplits:
    """The splits of the data.

    Attributes:
        splits: `train`, and `validation` and `test` if a source has them.
        origins: for each split, a phrase on how it was made.
        lacking: the sources without a test split and without a validation split.
    """

    splits: DatasetDict
    origins: dict[str, str]
    lacking: dict[str, set[str]]


def keep_given(splits: DatasetDict, config: DataConfig) -> GivenSplits:
    """Return the splits as the data have them.

    An image of a source without splits joins the held-out split that shows its piece of surface.

    Args:
        splits: with the columns `source` and `group`.
        config: whether pieces of surface matter.
    """
    owners = {name: set(source_names(split)) for name, split in splits.items()}
    everyone = set().union(*owners.values())
    lacking = {name: everyone - owners.get(name, set()) for name in HELD_OUT}
    kept = GivenSplits(DatasetDict(splits), dict.fromkeys(splits, "as in the data"), lacking)
    undivided = lacking["test"] & lacking["validation"]
    for name in (name for name in HELD_OUT if name in splits and lacking[name]):
        kept.origins[name] += f" of {enumeration(sorted(owners[name]))}"
        if not config.random_split:
            _follow(kept, name, undivided)
    return kept


def _follow(kept: GivenSplits, name: str, undivided: Collection[str]) -> None:
    """Move the training images of some sources that show a surface of a held-out split there."""
    train, split = kept.splits["train"], kept.splits[name]
    held = _of(train, undivided) & np.isin(train["group"][:], split["group"][:])
    if held.any():
        kept.splits["train"] = train.select(np.flatnonzero(~held))
        followers = train.select(np.flatnonzero(held))
        kept.splits[name] = concatenate_datasets([split, followers])
        number = counted(len(followers), "image")
        kept.origins[name] += f", with {number} of other sources that show the same surface"


def complete(
    kept: GivenSplits, name: str, fraction: float, seed: int, config: DataConfig
) -> tuple[Dataset, Dataset]:
    """Split off a share of the sources that lack a split; pieces of surface stay whole.

    Args:
        kept: with images of other sources in the split.
        name: of the split.
        fraction: approximate share of each class of their images.
        seed: of the random order.
        config: whether to split at random or by pieces of surface.

    Returns:
        the training split without the share, and the other one with it.
    """
    train, split = kept.splits["train"], kept.splits[name]
    own = free = _of(train, kept.lacking[name])
    if not config.random_split:
        # What shows the surface of an image that must stay, stays with it.
        groups = np.asarray(train["group"][:])
        free = own & ~np.isin(groups, groups[~own])
    if not free.any():
        return train, split
    rest, cut = cut_share(train.select(np.flatnonzero(free)), fraction, seed, config)
    fixed = train.select(np.flatnonzero(~free))
    return concatenate_datasets([fixed, rest]), concatenate_datasets([split, cut])


def with_shared_classes(
    splits: DatasetDict,
) -> tuple[DatasetDict, dict[str, int]]:
    """Return the images of the classes that all sources have, and the number of the others.

    Args:
        splits: of all sources.

    Raises:
        DataError: fewer than two classes are shared.
    """
    labels: list[str] = splits["train"].features["label"].names
    own: dict[str, set[int]] = {}
    for split in splits.values():
        for source, label in zip(source_names(split), split["label"][:], strict=True):
            own.setdefault(source, set()).add(label)
    shared = set.intersection(*own.values())
    if len(shared) < 2:
        raise DataError(
            f"--train-on needs two classes that all sources have; they share "
            f"{listed([labels[number] for number in sorted(shared)])}. Map the names of the "
            "sources with --class-map."
        )
    unshared = {label: None for number, label in enumerate(labels) if number not in shared}
    found, left_out = with_mapped_classes(splits, unshared)
    for label, images in left_out.items():
        logger.warning(
            "Left out: %s of %s, which a source lacks.", counted(images, "image"), printable(label)
        )
    return found, left_out


def train_on_some(splits: DatasetDict, names: Collection[str]) -> DatasetDict:
    """Return the splits with training and validation images of some sources only.

    Raises:
        DataError: a class has no training image left, or validation has no image at all.
    """
    kept = DatasetDict(splits)
    for name in ("train", "validation"):
        kept[name] = splits[name].select(np.flatnonzero(_of(splits[name], names)))
    present = set(kept["train"]["label"][:])
    for number, label in enumerate(splits["train"].features["label"].names):
        if number not in present:
            raise DataError(
                f"--train-on {listed(sorted(names))}: the class {printable(label)} has no training "
                "image there. Add some, or leave the class out with --class-map."
            )
    if not len(kept["validation"]):
        raise DataError(
            f"--train-on {listed(sorted(names))}: no image is left for validation. Add images, or "
            "raise --validation-fraction."
        )
    return kept


def _of(rows: Dataset, sources: Collection[str]) -> np.ndarray:
    return np.isin(source_names(rows), sorted(sources))
