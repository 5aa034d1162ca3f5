"""Corrupted test images, on which the new model and the published one are compared, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import datasets
from PIL import Image
from torchvision.transforms import v2

from space.inference.predictor import Predictor
from trainer.data.images import bit_depth
from trainer.data.images.decoding import open_image
from trainer.evaluation.checks.robustness import choose_rows
from trainer.inputs.corruptions import CORRUPTIONS, Corruption, to_bytes
from trainer.inputs.draws import mixed_seed

# The middle one of five: the weakest distinguish no models, the strongest leave none correct.
PLACE = 3


@dataclass(frozen=True)
class CorruptedImages:
    """Images that both models see corrupted in the same way.

    Attributes:
        rows: of `test`.
        test: the test split.
        side_px: length of the shorter side at which images are corrupted. It is that of the larger
            input of the two models, so that one corruption is equally severe for both.
        seed: of the corruptions.
    """

    rows: list[int]
    test: datasets.Dataset
    side_px: int
    seed: int

    @classmethod
    def choose(
        cls,
        models: Sequence[Predictor],
        test: datasets.Dataset,
        rows: Sequence[int],
        most_images: int,
        seed: int,
    ) -> CorruptedImages:
        """Return at most `most_images` of the given rows, balanced over the classes."""
        truth = test["label"][:]
        chosen = choose_rows([truth[row] for row in rows], most_images, seed)
        side_px = max(max(model.facts.preprocessing.size_px) for model in models)
        return cls([rows[place] for place in chosen], test, side_px, seed)

    def under(self, corruption: Corruption, depth: int) -> Iterator[Image.Image]:
        """Yield each image under a corruption.

        Args:
            corruption: one of `CORRUPTIONS`.
            depth: bits with which the model reads 16-bit images.
        """
        number = CORRUPTIONS.index(corruption)
        for row in self.rows:
            image = self._scaled(open_image(self.test[row] | {bit_depth.COLUMN: depth}))
            levels = v2.functional.pil_to_tensor(image) / 255
            seed = mixed_seed(self.seed, number, PLACE, row)
            corrupted = corruption.apply(levels, corruption.severity(PLACE), seed)
            yield v2.functional.to_pil_image(to_bytes(corrupted))

    def _scaled(self, image: Image.Image) -> Image.Image:
        scale = self.side_px / min(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        return image.resize((width, height), Image.Resampling.BICUBIC)
