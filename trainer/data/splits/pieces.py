"""Pieces of surface: which classes each one shows, and their assignment to splits or folds.

A piece is a group of images that share surface (`overlap_groups`); it is never divided.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from trainer.config.groups import DataConfig

Ints = npt.NDArray[np.int64]


class Pieces:
    """The pieces of surface that some images show.

    Args:
        labels: the class of each image.
        groups: the piece that each image shows, by any number.
        classes: number of classes.

    Attributes:
        of_image: the piece of each image, numbered from 0.
        per_class: number of pieces that show each class.
        alone: number of these that show no other class.
    """

    def __init__(
        self, labels: Sequence[int] | Ints, groups: Sequence[int] | Ints, classes: int
    ) -> None:
        self.of_image: Ints
        _, self.of_image, self._images = np.unique(
            np.asarray(groups), return_inverse=True, return_counts=True
        )
        shown = np.stack([self.of_image, np.asarray(labels, dtype=np.int64)], axis=1)
        found, self._shown = np.unique(shown, axis=0, return_counts=True)
        self._piece, self._label = found.T
        self._starts = np.searchsorted(self._piece, np.arange(len(self._images) + 1))
        self.per_class = np.bincount(self._label, minlength=classes)
        lonely = np.diff(self._starts)[self._piece] == 1
        self.alone = np.bincount(self._label[lonely], minlength=classes)

    def __len__(self) -> int:
        return len(self._images)

    def dealt(self, folds: int, seed: int) -> Ints:
        """Return the fold of each piece, with the classes spread as evenly as possible.

        The largest pieces come first, equal ones in random order. Each is assigned to the fold
        where it makes the class shares least uneven, in a tie to the one with the fewest images.
        scikit-learn's StratifiedGroupKFold does the same, a hundred times slower.
        """
        filled = np.zeros((folds, len(self.per_class)))
        images = np.zeros(folds)
        # Each class has the same weight: squares of shares grow by 2 × there × here / total².
        weight = self._shown / np.bincount(self._label, self._shown)[self._label] ** 2
        chance = np.random.default_rng(seed).permutation(len(self))
        dealt = np.empty(len(self), dtype=np.int64)
        for piece in chance[np.argsort(-self._images[chance], kind="stable")].tolist():
            own = slice(self._starts[piece], self._starts[piece + 1])
            uneven = filled[:, self._label[own]] @ weight[own]
            fold = dealt[piece] = np.lexsort((images, uneven))[0]
            filled[fold, self._label[own]] += self._shown[own]
            images[fold] += self._images[piece]
        return dealt

    def counts(self, sides: Ints, how_many: int) -> Ints:
        """Return the number of pieces that show each class on each side: [side, class].

        Args:
            sides: of each piece.
            how_many: number of sides.
        """
        found = np.zeros((how_many, len(self.per_class)), dtype=np.int64)
        np.add.at(found, (sides[self._piece], self._label), 1)
        return found

    def fill(self, sides: Ints, least: Ints, seed: int) -> list[tuple[int, int]]:
        """Move pieces until each side has enough pieces of each class; `sides` is modified.

        Only missing pieces are moved, the smallest first and equal ones in random order; no move
        takes a piece that its side needs. It always succeeds for a class with as many pieces of
        its own (see `alone`) as all sides need together.

        Args:
            sides: of each piece.
            least: pieces of each class that each side needs, [side, class].
            seed: of the random order.

        Returns:
            the (side, class) for which no piece is available.
        """
        counts = self.counts(sides, len(least))
        chance = np.random.default_rng(seed).permutation(len(sides))
        unmet = []
        for side, label in np.argwhere(counts < least).tolist():
            while counts[side, label] < least[side, label]:
                surplus = counts - least
                spare = [
                    piece
                    for piece in self._piece[self._label == label].tolist()
                    if sides[piece] != side and self._can_spare(piece, sides, surplus)
                ]
                if not spare:
                    unmet.append((side, label))
                    break
                piece = min(spare, key=lambda piece: (self._images[piece], chance[piece]))
                shown = self._classes(piece)
                counts[sides[piece], shown] -= 1
                counts[side, shown] += 1
                sides[piece] = side
        return unmet

    def neighbors(self, label: int) -> list[int]:
        """Return the other classes that pieces of a class show."""
        shown = {
            int(other)
            for piece in self._piece[self._label == label].tolist()
            for other in self._classes(piece)
        }
        return sorted(shown - {label})

    def _classes(self, piece: int) -> Ints:
        classes: Ints = self._label[self._starts[piece] : self._starts[piece + 1]]
        return classes

    def _can_spare(self, piece: int, sides: Ints, surplus: Ints) -> bool:
        return bool((surplus[sides[piece], self._classes(piece)] > 0).all())


def pieces_of(images: Dataset, config: DataConfig) -> Pieces:
    """Return the units of a split: pieces of surface, or single images in a random split."""
    groups = range(len(images)) if config.random_split else images["group"][:]
    return Pieces(images["label"][:], groups, images.features["label"].num_classes)
