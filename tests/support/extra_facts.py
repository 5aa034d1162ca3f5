"""Plausible facts of heatmaps and robustness: made up, for reports."""

from __future__ import annotations

from collections.abc import Sequence

from model_card.schema.base import Score
from model_card.schema.comparison import (
    Comparison,
    Difference,
    NamedAccuracy,
    PairedAccuracy,
    PairedResult,
    PairedRobustness,
)
from model_card.schema.localization import ClassLocalization, Localization
from model_card.schema.robustness import CorruptionResult, Robustness, Step
from model_card.schema.run.data import Feedback, SkippedImage
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


def example_feedback() -> Feedback:
    """Return corrections that show each reason to leave an image out."""
    return Feedback(
        corrections=31,
        superseded=3,
        images=29,
        taken={"Patches": 7, "Rolled": 5},
        without_class={"several defects": 2, "none of these": 4},
        unknown_classes={"Rust": 1},
        overlapping=6,
        contradicting=["feedback/a.png", "feedback/b.png"],
        known=8,
        damaged=[SkippedImage(file="images/c.png", reason="its content was changed")],
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


def example_comparison(*, known_splits: bool = True, reason: str | None = None) -> Comparison:
    """Return a comparison on 276 of 288 images, or why there is none."""

    def difference(value: float, p_value: float) -> Difference:
        return Difference(value=value, low=value - 0.0276, high=value + 0.0274, p_value=p_value)

    def row(name: str, new: int, published: int, p_value: float) -> NamedAccuracy:
        return NamedAccuracy(
            name=name,
            images=46,
            new=share(new, 46),
            published=share(published, 46),
            difference=difference((new - published) / 46, p_value),
        )

    result = PairedResult(
        overall=PairedAccuracy(
            images=276,
            new=share(271, 276),
            published=share(262, 276),
            difference=difference(9 / 276, 0.021),
        ),
        test_images=288,
        groups=100,
        only_new=12,
        only_published=3,
        known_splits=known_splits,
        missing_images=7,
        classes=[row("Crazing", 44, 45, 0.03), row("Rolled", 46, 38, 0.00001)],
        robustness=PairedRobustness(
            severity=3, kinds=[row("Noise", 40, 31, 0.004), row("Defocus", 29, 33, 0.7)]
        ),
    )
    return Comparison(
        repo_id="mill/strip-defects",
        revision="0123abcd",
        result=None if reason else result,
        reason=reason,
    )
