"""Splits that only some sources have: they are kept, and completed from the other sources.

The test images of a source that has a test split stay the same whatever is added to them, so its
accuracy compares with that of a model of this source alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets

from model_card.formatting import counted, enumeration
from trainer.config.groups import DataConfig
from trainer.data.collection import source_names
from trainer.data.splits.shares import cut_share

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


def _of(rows: Dataset, sources: Collection[str]) -> np.ndarray:
    return np.isin(source_names(rows), sorted(sources))
