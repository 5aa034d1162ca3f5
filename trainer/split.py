"""Cut the parts that the data lack, validation and test, from the training part."""

from __future__ import annotations

from collections import Counter

from datasets import Dataset, DatasetDict

from trainer.config import DataConfig
from trainer.errors import DataError


def divide(parts: DatasetDict, config: DataConfig, seed: int) -> tuple[DatasetDict, dict[str, str]]:
    """Complete `train`, `validation` and `test`, stratified by class and seeded.

    Returns:
        the three parts, and for each of them half a sentence on how it came about.

    Raises:
        DataError: a class has too few images to be in every part.
    """
    parts = DatasetDict(parts)
    origins = dict.fromkeys(parts, "as the data came")
    # Test first: which images it holds must not depend on how validation is cut.
    for name, fraction in (
        ("test", config.test_fraction),
        ("validation", config.validation_fraction),
    ):
        if name not in parts:
            parts["train"], parts[name] = _cut(parts["train"], fraction, seed, name)
            origins[name] = (
                f"{fraction:.0%} of each class of the training images, at random (seed {seed})"
            )
            origins["train"] = "what was left of the training images"
    for name, part in parts.items():
        counts = Counter(part["label"])
        for label, title in enumerate(part.features["label"].names):
            if not counts[label]:
                raise DataError(f"The class {title} has no readable image in the {name} part.")
    return parts, origins


def _cut(part: Dataset, fraction: float, seed: int, name: str) -> tuple[Dataset, Dataset]:
    """Cut a stratified share off a part; every class keeps at least one image on both sides."""
    counts = Counter(part["label"])
    for label, title in enumerate(part.features["label"].names):
        if round(counts[label] * fraction) < 1 or counts[label] < 2:
            raise DataError(
                f"The class {title} has {counts[label]} training images: too few to set "
                f"{fraction:.0%} aside for {name}. Add images, or raise --{name}-fraction."
            )
    divided = part.train_test_split(fraction, stratify_by_column="label", seed=seed)
    return divided["train"], divided["test"]
