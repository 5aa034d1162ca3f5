"""Drift: p-values by rank, capital by hand, false alarms counted, causes named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import kstest

from space.inference.core.arrays import Floats, Pixels
from space.inference.drift.appearance import Appearance
from space.inference.drift.baseline import Baseline, ImageReference, Signature, Spread
from space.inference.drift.cause import described, likeliest_causes
from space.inference.drift.image_statistics import NAMES, image_statistics
from space.inference.drift.martingale import BETS, JUMP, ConformalRanks, DriftTest, Martingale
from trainer.decision.baseline import corrupt
from trainer.inputs.corruptions import BY_NAME

Answer = tuple[str, tuple[float, ...]]


ROW = [0.0] * len(NAMES)
IMAGES = {"mean": ROW, "covariance": [ROW] * len(ROW), "signatures": []}


def test_p_values_are_ranks() -> None:
    draw = np.random.default_rng(0)
    known = [("A", score) for score in (1.0, 2.0, 3.0)] + [("B", 100.0)]

    def ranks() -> ConformalRanks:
        return ConformalRanks(known, draw)

    for _ in range(50):
        # Larger than all three of its class; smaller than all; equal to one of them.
        assert 0 < ranks().p_value("A", 4.0) <= 1 / 4
        assert 3 / 4 < ranks().p_value("A", 0.0) <= 1
        assert 1 / 4 < ranks().p_value("A", 2.0) <= 3 / 4
        # A class without reference images.
        assert 0 < ranks().p_value("C", 4.0) <= 1


def test_each_image_is_a_reference_for_the_next() -> None:
    ranks = ConformalRanks([("A", 1.0)], np.random.default_rng(0))
    assert ranks.p_value("A", 5.0) <= 1 / 2
    assert ranks.p_value("A", 4.0) > 1 / 3, "5 is larger"


def test_healthy_p_values_are_uniform() -> None:
    draw = np.random.default_rng(3)
    # Many scores are equal, as confidences of 1 are.
    scores = np.maximum(draw.normal(size=1500), 0)
    ranks = ConformalRanks([("A", score) for score in scores[:100]], draw)
    p_values = [ranks.p_value("A", score) for score in scores[100:]]
    assert kstest(p_values, "uniform").pvalue > 0.05


def test_the_mean_capital_after_two_bets() -> None:
    """Two gamblers, of whom the second does not bet on the second image."""
    capital = Martingale(2)
    by_hand = []
    for p_values in ((0.2, 0.01), (0.5,)):
        shares, own = np.full(len(BETS), 1 / len(BETS)), 1.0
        for p_value in p_values:
            spread = (1 - JUMP) * shares + JUMP / len(BETS)
            won = spread * BETS * p_value ** (BETS - 1)
            own *= won.sum()
            shares = won / won.sum()
        by_hand.append(own)
    capital.bet(np.array([0.2, 0.5]))
    capital.bet(np.array([0.01, np.nan]))
    assert math.exp(capital.largest_log) == pytest.approx(sum(by_hand) / 2)
    # A bet on 0.01 alone: (1 + 0.7 · 100^0.3 + 0.4 · 100^0.6 + 0.2 · 100^0.8) / 4.
    one = Martingale(1)
    one.bet(np.array([0.01]))
    assert math.exp(one.largest_log) == pytest.approx((1 + 2.787 + 6.340 + 7.962) / 4, abs=1e-3)


def test_nobody_wins_against_uniform_p_values_on_average() -> None:
    """The mean capital after one bet is 1: the integral of the bets over [0, 1]."""
    grid = (np.arange(200_000) + 0.5) / 200_000
    won = (BETS[:, None] * grid ** (BETS[:, None] - 1)).mean()
    assert won == pytest.approx(1, abs=0.02)


def healthy(draw: np.random.Generator, count: int, label: str = "A") -> list[Answer]:
    """Return doubt and novelty that depend on the class, as they do in practice."""
    far = 2.0 if label == "B" else 1.0
    return [
        (label, (float(draw.beta(1, 30) * far), float(far * draw.gamma(5, 0.1))))
        for _ in range(count)
    ]


@pytest.mark.slow
def test_false_alarms_at_any_look() -> None:
    """Of 400 healthy batches of 60 images, at most 1 % raise p ≤ 0.01, looked at 60 times each."""
    draw = np.random.default_rng(11)
    alarms = 0
    for number in range(400):
        test = DriftTest(healthy(draw, 40), seed=number)
        for answer in healthy(draw, 60):
            test.add(*answer)
        # The smallest of all looks: the p-value never rises again.
        alarms += test.p_value <= 0.01
    assert alarms <= 4


def test_another_mix_of_classes_is_no_drift() -> None:
    draw = np.random.default_rng(5)
    test = DriftTest(healthy(draw, 60, "A") + healthy(draw, 60, "B"))
    for answer in healthy(draw, 150, "B"):
        test.add(*answer)
    assert test.p_value > 0.01


@pytest.mark.parametrize(("doubt", "novel"), [(0.3, 0.0), (0.0, 1.0), (0.3, None)])
def test_a_drift_is_found_and_stays_found(doubt: float, novel: float | None) -> None:
    draw = np.random.default_rng(5)

    def answers(count: int, doubt: float, more: float) -> list[Answer]:
        return [
            (label, (own + doubt, math.nan if novel is None else novelty + more))
            for label, (own, novelty) in healthy(draw, count)
        ]

    test = DriftTest(answers(100, 0, 0))
    for answer in answers(50, 0, 0):
        test.add(*answer)
    assert test.p_value > 0.01
    for answer in answers(25, doubt, novel or 0):
        test.add(*answer)
    found = test.p_value
    assert found <= 0.01
    for answer in answers(100, 0, 0):
        test.add(*answer)
    assert test.p_value <= found


def picture(seed: int, side: int = 96) -> Pixels:
    """Return a texture with grain, stains and edges: [1, row, column, 3]."""
    draw = np.random.default_rng(seed)
    gray = np.zeros((side, side))
    for size in (1, 2, 4, 12):
        coarse = draw.normal(size=(side // size + 1, side // size + 1))
        gray += np.kron(coarse, np.ones((size, size)))[:side, :side] * size**0.3
    scaled = 110 + 22 * gray / gray.std() + draw.normal(0, 8)
    return np.repeat(scaled.clip(0, 255).astype(np.uint8)[None, ..., None], 3, axis=3)


def value(name: str, tiles: Pixels) -> float:
    return float(image_statistics(tiles)[NAMES.index(name)])


def test_statistics_show_what_they_are_named_after() -> None:
    plain = picture(0)
    assert value("brightness", plain // 2) - value("brightness", plain) == pytest.approx(
        -1, abs=0.1
    )
    white = np.full_like(plain, 255)
    assert value("clipped", white) == pytest.approx(0, abs=1e-3)
    assert value("clipped", plain) == pytest.approx(-3, abs=0.1)
    ramp = np.broadcast_to(np.linspace(50, 200, 96)[None, None, :, None], plain.shape)
    assert value("slope", ramp.astype(np.uint8)) == pytest.approx(math.log(150 / 126), abs=0.05)
    stripes = np.where(np.arange(96)[None, None, :, None] // 3 % 2, 60, 180) + 0 * plain
    assert value("direction", stripes.astype(np.uint8)) == pytest.approx(1, abs=0.01)
    grain = np.random.default_rng(0).integers(0, 256, plain.shape, np.uint8)
    assert value("direction", grain) < 0.1


def test_seams_of_rows_count_like_those_of_columns() -> None:
    """Stripes 8 pixels wide, as a strong compression leaves them, with some grain."""
    draw = np.random.default_rng(0)
    stripes = draw.integers(90, 160, 12).repeat(8)[:, None] + draw.integers(0, 8, (96, 96))
    tile = np.repeat(stripes.astype(np.uint8)[None, ..., None], 3, axis=3)
    seams = value("blocks", tile)
    assert seams > 0.5
    assert value("blocks", tile.transpose(0, 2, 1, 3)) == pytest.approx(seams)


@settings(max_examples=40, deadline=None)
@given(st.integers(32, 70), st.integers(32, 70), st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_statistics_of_any_image_are_finite(rows: int, columns: int, level: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    tiles = draw.integers(0, level + 1, (2, rows, columns, 3), np.uint8)
    found = image_statistics(tiles)
    assert found.shape == (len(NAMES),)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("side", [33, 34])
def test_the_noise_is_the_median_of_the_second_differences(side: int) -> None:
    tile = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    gray = tile.mean(axis=2, dtype=np.float32) / 255
    curve = np.abs(np.diff(gray, n=2, axis=1))
    brightness = float(gray.mean()) + 1 / 255
    expected = math.log(float(np.median(curve)) / brightness + 1 / 255)
    assert value("noise", tile[None]) == pytest.approx(expected, abs=1e-6)


@pytest.fixture(scope="module")
def reference() -> ImageReference:
    inputs = [picture(seed) for seed in range(30)]
    known = np.stack([image_statistics(tiles) for tiles in inputs])
    kinds = [
        BY_NAME[name] for name in ("Noise", "Defocus", "Under-exposure", "JPEG", "Dead pixels")
    ]

    def shift(name: str, severity: float) -> list[float]:
        changed = [corrupt(tiles, BY_NAME[name], severity, 1) for tiles in inputs[:8]]
        mean = np.mean([image_statistics(tiles) for tiles in changed], axis=0)
        return (mean - known[:8].mean(axis=0)).tolist()  # type: ignore[no-any-return]

    return ImageReference(
        mean=known.mean(axis=0).tolist(),
        covariance=np.cov(known, rowvar=False).tolist(),
        signatures=[
            Signature(
                name=kind.name,
                unit=kind.unit,
                check=kind.check,
                severities=list(kind.severities),
                shifts=[shift(kind.name, severity) for severity in kind.severities],
            )
            for kind in kinds
        ],
    )


@pytest.mark.parametrize("name", ["Defocus", "Under-exposure", "JPEG", "Dead pixels"])
@pytest.mark.parametrize("place", [3, 4])
def test_a_cause_is_named_with_its_severity(
    reference: ImageReference, name: str, place: int
) -> None:
    kind = BY_NAME[name]
    images = [
        corrupt(picture(seed), kind, kind.severities[place - 1], seed) for seed in range(100, 120)
    ]
    causes = likeliest_causes(
        reference, np.mean([image_statistics(tiles) for tiles in images], axis=0)
    )
    cause = causes[0]
    assert cause.name == name
    assert abs(cause.place - place) <= 1
    assert cause.severity == kind.severities[cause.place - 1]
    assert f"severity {cause.place} ({cause.severity:g} {kind.unit})" in described(causes)


def test_an_unknown_cause_is_not_named(reference: ImageReference) -> None:
    # Inverted images: the darkest parts are the brightest.
    images = [255 - picture(seed) // 2 for seed in range(100, 120)]
    mean = np.mean([image_statistics(tiles) for tiles in images], axis=0)
    assert likeliest_causes(reference, mean) == []
    assert described([]).startswith("No known fault")


def test_causes_that_explain_a_shift_equally_are_both_named() -> None:
    """Two corruptions with one signature, and one with another."""
    one, other = np.eye(len(NAMES))[:2]
    kinds = {"Defocus": one, "Low resolution": one * 1.02, "Noise": other}
    reference = ImageReference(
        mean=[0.0] * len(NAMES),
        covariance=np.eye(len(NAMES)).tolist(),
        signatures=[
            Signature(
                name=name, unit="px", check="the lens", severities=[7, 9], shifts=[shift, 2 * shift]
            )
            for name, shift in kinds.items()
        ],
    )
    causes = likeliest_causes(reference, 2 * one)
    assert [(cause.name, cause.place, cause.severity) for cause in causes] == [
        ("Defocus", 2, 9),
        ("Low resolution", 2, 9),
    ]
    assert causes[0].explained == pytest.approx(1)
    assert described(causes) == (
        "The images look like defocus, about severity 2 (9 px) or low resolution, about severity 2 "
        "(9 px): check the lens."
    )


def test_an_image_is_scored_against_the_training_images_of_its_class() -> None:
    """Shifts in units of the class's own spread; where the fault points, not elsewhere."""
    one, other, third = np.eye(len(NAMES))[:3]
    floor = 0.05**2

    def spread(mean: Floats, variance: float) -> Spread:
        covariance = (variance - floor) * np.eye(len(NAMES))
        return Spread(mean=mean.tolist(), covariance=covariance.tolist())

    kinds = {"Noise": 3 * one, "Defocus": -other}
    reference = ImageReference(
        mean=[9.0] * len(NAMES),
        covariance=np.eye(len(NAMES)).tolist(),
        signatures=[
            Signature(name=name, unit="", check="", severities=[1, 2], shifts=[shift, 5 * third])
            for name, shift in kinds.items()
        ],
    )
    spreads = [spread(0 * one, 4.0), spread(10 * other, 0.25)]
    appearance = Appearance(["A", "B"], spreads, reference)
    assert appearance.count == 3
    assert appearance.scores("A", 4 * one + 6 * third) == pytest.approx([2, 0, 4 + 9])
    assert appearance.scores("B", 8 * other) == pytest.approx([0, 4, 16])
    assert np.isnan(appearance.scores("B", None)).tolist() == [True] * 3


@pytest.mark.parametrize(
    "change",
    [
        {"confidence": [0.5]},
        {"novelty": [0.5]},
        {"novelty": [0.1, math.nan]},
        {"predicted": [0, 7]},
        {"verdicts": {"class": 5}},
        {"images": {"mean": [0.0]}},
        {"images": IMAGES | {"statistics": [ROW]}},
        {"images": IMAGES | {"classes": [{"mean": ROW, "covariance": [ROW] * len(ROW)}]}},
        {"predicted": [], "confidence": [], "novelty": [], "verdicts": {}},
        {"more": 1},
    ],
)
def test_a_baseline_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    facts: dict[str, object] = {
        "labels": ["A", "B"],
        "predicted": [0, 1],
        "confidence": [0.9, 1.0],
        "novelty": [0.1, 0.2],
        "verdicts": {"class": 2},
        "images": None,
    }
    assert Baseline.model_validate(facts).shares() == {"class": 1}
    assert Baseline.model_validate(facts | {"images": IMAGES}).images
    with pytest.raises(ValidationError):
        Baseline.model_validate(facts | change)
