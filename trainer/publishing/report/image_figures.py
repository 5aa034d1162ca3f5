"""Figures of a report that show images of the data: classes, predictions, augmentations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torchvision.transforms import v2

from model_card.figures import results
from model_card.schema.report import Figure
from space.inference.predictor import Prediction
from trainer.config.recipe import RecipeConfig
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images
from trainer.evaluation.sample_rows import choose_samples
from trainer.inputs.augment import Augment
from trainer.inputs.draws import draw, mixed_seeds
from trainer.inputs.loading import scaled_tiles
from trainer.publishing.report.example_images import choose_examples

SAMPLES = 24
AUGMENTED = 11


def draw_classes(images: Images, predictions: list[Prediction], folder: Path) -> Figure:
    """Draw the test images that are published as examples, one per class, into `folder`."""
    test = images.splits["test"]
    truth = test["label"][:]
    rows = choose_examples(truth, images.labels, predictions)
    examples = [(images.labels[truth[row]], open_image(test[row])) for row in rows]
    return results.write_class_examples(examples, folder)


def draw_samples(images: Images, predictions: list[Prediction], folder: Path) -> Figure:
    """Draw some test images with their predictions into `folder`."""
    test = images.splits["test"]
    samples = []
    for index in choose_samples(test["label"][:], images.labels, predictions, SAMPLES):
        row, prediction = test[index], predictions[index]
        samples.append(
            results.Sample(
                image=open_image(row),
                label=images.labels[row["label"]],
                prediction=prediction.label,
                confidence=prediction.confidence,
            )
        )
    return results.write_samples(samples, folder)


def draw_augmentations(
    images: Images,
    recipe: RecipeConfig,
    data_config: dict[str, Any],
    folder: Path,
    *,
    seed: int,
    tile: bool,
) -> Figure:
    """Draw a training image as the recipe changes it, into `folder`."""
    pixels = scaled_tiles(images.splits["train"][0], data_config, tile=tile)[0]
    numbers = np.arange(AUGMENTED, dtype=np.uint64)
    augment = Augment(recipe, data_config)
    batch = augment((pixels.expand(AUGMENTED, -1, -1, -1), draw(mixed_seeds(seed, numbers))))
    augmented = [v2.functional.to_pil_image(image) for image in augment.normalize.undo(batch)]
    return results.write_augmentations(v2.functional.to_pil_image(pixels), augmented, folder)
