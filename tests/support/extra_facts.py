"""Plausible facts of heatmaps and robustness: made up, for reports."""

from __future__ import annotations

from collections.abc import Sequence

from model_card.schema.base import Score
from model_card.schema.localization import ClassLocalization, Localization
from model_card.schema.robustness import CorruptionResult, Robustness, Step
from trainer.evaluation.metrics.intervals import proportion
from trainer.inputs.corruptions import CORRUPTIONS


def share(hits: int, images: int) -> Score:
    return proportion(hits, images)


def example_robustness(images: int, hits: int) -> Robustness:
    """Return a test in which so many images are right whatever is done to them."""
    return Robustness(
        images=images,
        of=288,
        side_px=224,
        seed=0,
        clean=share(hits, images),
        clean_unnoticed=share(0, images),
        kinds=[
            CorruptionResult(
                name=kind.name,
                unit=kind.unit,
                steps=[
                    Step(severity=s, accuracy=share(hits, images), unnoticed=share(1, images))
                    for s in kind.severities
                ],
            )
            for kind in CORRUPTIONS
        ],
    )


def example_localization(labels: Sequence[str]) -> Localization:
    """Return heatmaps that lie in the boxes twice as much as chance would."""
    return Localization(
        method="gradient × activation",
        images=20 * len(labels),
        classes=[
            ClassLocalization(
                label=label,
                images=20,
                area=0.25,
                energy=0.5,
                energy_lift=2.0,
                pointing=share(15, 20),
                pointing_lift=3.0,
            )
            for label in labels
        ],
    )
