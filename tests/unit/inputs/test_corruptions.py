"""Corruptions do what their units say, as strongly as the table says, the same each time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import conv2d, pad

from trainer.config.recipe import RecipeConfig
from trainer.inputs.augment import Augment
from trainer.inputs.corruptions import (
    BY_NAME,
    COMBINED,
    CORRUPTIONS,
    STAGES,
    Corruption,
    corrupt_randomly,
    line_kernel,
    to_bytes,
)
from trainer.inputs.draws import draw

KINDS = [pytest.param(kind, id=kind.name) for kind in CORRUPTIONS]


def surface(side: int = 64, seed: int = 0) -> torch.Tensor:
    """Return gray levels around the middle, as of a camera that is set well: grainy, in colour."""
    draw = torch.Generator().manual_seed(seed)
    grain = torch.rand((1, side, side), generator=draw)
    return (0.4 + 0.2 * grain).expand(3, -1, -1)


def point(side: int = 33) -> torch.Tensor:
    levels = torch.zeros(1, side, side)
    levels[0, side // 2, side // 2] = 1
    return levels


def differs(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).square().mean().sqrt().item()


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_decides_everything(kind: Corruption) -> None:
    for severity in kind.severities:
        first = kind.apply(surface(), severity, seed=7)
        assert torch.equal(first, kind.apply(surface(), severity, seed=7))
        assert first.shape == (3, 64, 64)
        assert first.min() >= 0 and first.max() <= 1


@pytest.mark.parametrize("severity", [3, 15])
def test_blur_is_a_convolution_of_the_mirrored_image(severity: float) -> None:
    levels = surface(40, 1) * torch.tensor([1, 0.7, 0.4]).view(3, 1, 1)
    angle = math.pi * torch.rand((), generator=torch.Generator().manual_seed(7)).item()
    kernel = line_kernel(round(severity), angle)
    mirrored = pad(levels[:, None], [kernel.shape[0] // 2] * 4, mode="reflect")
    expected = conv2d(mirrored, kernel[None, None])[:, 0]
    found = BY_NAME["Motion blur"].apply(levels, severity, seed=7)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_each_step_is_worse_than_the_one_before(kind: Corruption) -> None:
    damage = [
        sum(differs(kind.apply(surface(64, n), s, seed=n), surface(64, n)) for n in range(8))
        for s in kind.severities
    ]
    assert damage == sorted(damage)
    assert damage[0] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_tiny_images_are_degraded_too(kind: Corruption) -> None:
    for severity in kind.severities:
        assert kind.apply(surface(8), severity, seed=0).isfinite().all()


@pytest.mark.parametrize("snr_db", BY_NAME["Noise"].severities)
def test_noise_has_the_ratio_that_is_written(snr_db: float) -> None:
    clean = torch.full((1, 400, 400), 0.5)
    noise = BY_NAME["Noise"].apply(clean, snr_db, seed=1) - clean
    measured = 10 * torch.log10(clean.square().mean() / noise.square().mean())
    # 160,000 samples: the standard error of their power is 0.35 %, or 0.015 dB.
    assert measured.item() == pytest.approx(snr_db, abs=0.06)
    assert noise.mean().item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("length_px", [3, 5, 7, 15])
def test_motion_makes_a_line_of_its_length_of_a_point(length_px: int) -> None:
    level = line_kernel(length_px, 0.0)
    row = level[level.shape[0] // 2]
    assert (row > 0).sum() == length_px
    assert row[row > 0].tolist() == pytest.approx([1 / length_px] * length_px)
    assert level.sum() == pytest.approx(1)
    for seed in range(6):
        seen = BY_NAME["Motion blur"].apply(point(), length_px, seed)[0]
        assert seen.sum().item() == pytest.approx(1, abs=1e-5)
        rows, columns = torch.meshgrid(*[torch.arange(33.0) - 16] * 2, indexing="ij")
        spread = torch.stack([(seen * a * b).sum() for a, b in [(rows, rows), (rows, columns)]])
        moments = torch.tensor([[spread[0], spread[1]], [spread[1], (seen * columns**2).sum()]])
        across, along = torch.linalg.eigvalsh(moments).sqrt().tolist()
        # Equally spaced points: variance (n² - 1) / 12; sharing among four pixels adds to it.
        assert along == pytest.approx(math.sqrt((length_px**2 - 1) / 12), abs=0.35)
        assert across < 0.51


@given(st.floats(0, math.pi), st.integers(1, 20))
def test_a_line_of_any_direction_keeps_the_light(angle: float, length_px: int) -> None:
    kernel = line_kernel(length_px, angle)
    assert kernel.sum().item() == pytest.approx(1, abs=1e-5)
    assert kernel.min() >= 0
    # Its centre stays where it was.
    middle = kernel.shape[0] // 2
    steps = torch.arange(kernel.shape[0]) - middle
    assert (kernel.sum(0) * steps).sum().item() == pytest.approx(0, abs=1e-4)
    assert (kernel.sum(1) * steps).sum().item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("radius_px", [2, 3, 4])
def test_defocus_makes_a_disc_of_a_point(radius_px: int) -> None:
    seen = BY_NAME["Defocus"].apply(point(), radius_px, seed=0)[0]
    assert seen.sum().item() == pytest.approx(1, abs=1e-5)
    assert (seen[16] > 0).sum() == 2 * radius_px + 1
    assert torch.equal(seen, seen.T)
    # A full disc spreads its light evenly over its area.
    assert seen[16, 16].item() == pytest.approx(1 / (math.pi * radius_px**2), rel=0.3)


@given(st.integers(0, 2**31), st.floats(0.1, 1))
def test_light_falls_off_by_the_gradient(seed: int, gradient: float) -> None:
    seen = BY_NAME["Uneven light"].apply(torch.full((1, 41, 41), 0.5), gradient, seed)
    assert (seen.max() - seen.min()).item() == pytest.approx(0.5 * gradient, abs=1e-5)
    assert seen[0, 20, 20].item() == pytest.approx(0.5, abs=1e-6)


def test_a_stop_is_a_factor_of_two() -> None:
    gray = torch.full((3, 4, 4), 0.4)
    assert BY_NAME["Under-exposure"].apply(gray, 1, 0).flatten().tolist() == pytest.approx(
        [0.2] * 48
    )
    assert BY_NAME["Over-exposure"].apply(gray, 1, 0).flatten().tolist() == pytest.approx(
        [0.8] * 48
    )
    assert BY_NAME["Over-exposure"].apply(gray, 2, 0).flatten().tolist() == [1.0] * 48


def test_dead_pixels_are_as_many_as_the_table_says_half_of_them_white() -> None:
    seen = BY_NAME["Dead pixels"].apply(torch.full((3, 300, 300), 0.5), 5, seed=3)
    black, white = (seen == 0).float().mean().item(), (seen == 1).float().mean().item()
    # 90,000 pixels: the standard error of 2.5 % is 0.05 %.
    assert black == pytest.approx(0.025, abs=0.002)
    assert white == pytest.approx(0.025, abs=0.002)
    assert torch.equal(seen[0], seen[2])


def test_a_rotation_turns_by_its_angle() -> None:
    levels = torch.zeros(1, 101, 101)
    levels[0, 50, 50:90] = 1
    seen = BY_NAME["Rotation"].apply(levels, 10, seed=0)[0]
    rows, columns = torch.meshgrid(*[torch.arange(101.0) - 50] * 2, indexing="ij")
    angle = math.degrees(math.atan2((seen * rows).sum().item(), (seen * columns).sum().item()))
    assert abs(angle) == pytest.approx(10, abs=0.3)


def test_the_combined_one_is_light_motion_and_noise() -> None:
    seen = COMBINED.apply(torch.full((1, 200, 200), 0.5), 3, seed=0)
    # Light alone has a range of 0.3 there; what noise adds has a deviation of 0.5 / 10^1.5.
    fine = seen[0, :, 1:] - seen[0, :, :-1]
    assert fine.std().item() == pytest.approx(0.5 * 10**-1.5 * math.sqrt(2), rel=0.05)
    ends = seen[0].unfold(0, 20, 20).unfold(1, 20, 20).mean((2, 3))
    assert (ends.max() - ends.min()).item() == pytest.approx(0.3, abs=0.05)


def test_strengths_between_two_of_the_table_lie_between() -> None:
    noise = BY_NAME["Noise"]
    assert [noise.severity(place) for place in (1, 2, 3, 4, 5)] == list(noise.severities)
    assert noise.severity(1.5) == 37.5


def test_eight_bits_round() -> None:
    assert to_bytes(torch.tensor([0, 0.5, 1])).tolist() == [0, 128, 255]


def augment(corrupt: float) -> Augment:
    still = RecipeConfig(rotation=0, shear=0, translation=0, flip=False, corrupt=corrupt)
    config = {"input_size": (3, 32, 32), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.25)}
    return Augment(still, config)


def test_training_degrades_the_share_that_was_asked_for() -> None:
    pixels = to_bytes(surface(32)).expand(400, -1, -1, -1)
    draws = draw(range(400))
    plain = augment(0)((pixels, draws))
    for share in (0.25, 1.0):
        seen = augment(share)((pixels, draws))
        changed = (seen - plain).abs().amax((1, 2, 3)) > 1e-3
        # The standard error of a quarter of 400 is 2.2 %.
        assert changed.float().mean().item() == pytest.approx(share, abs=0.09)
        # By the numbers drawn for it alone, whatever else is in the batch.
        again = augment(share)((pixels[5:9], draws[5:9]))
        torch.testing.assert_close(again, seen[5:9], rtol=0, atol=1e-5)


def test_training_sees_every_kind_alone_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the stages, and the weaker the more there are at once."""
    met: list[tuple[str, float]] = []

    def note(name: str) -> Corruption:
        kind = BY_NAME[name]

        def change(levels: torch.Tensor, severity: float, draw: torch.Generator) -> torch.Tensor:
            met.append((name, severity))
            return levels

        return replace(kind, change=change)

    for names in STAGES:
        for name in names:
            monkeypatch.setitem(BY_NAME, name, note(name))
    stage_of = {name: stage for stage, names in enumerate(STAGES) for name in names}
    combinations = []
    for seed in range(600):
        met.clear()
        corrupt_randomly(surface(8), seed)
        stages = [stage_of[name] for name, _ in met]
        assert stages == sorted(set(stages))
        for name, severity in met:
            # Severities of the table fall or rise; the places of all begin at 1.
            ends = sorted((BY_NAME[name].severity(1), BY_NAME[name].severity(1 + 4 / len(met))))
            assert ends[0] <= severity <= ends[1]
        combinations.append(tuple(name for name, _ in met))
    assert {len(names) for names in combinations} == {1, 2, 3}
    assert {names[0] for names in combinations if len(names) == 1} == set(stage_of)
    assert ("Uneven light", "Motion blur", "Noise") in combinations


def test_training_degrades_by_seed_alone() -> None:
    first, again = (corrupt_randomly(surface(), 3) for _ in range(2))
    assert torch.equal(first, again)
    damage = {round(differs(corrupt_randomly(surface(), n), surface()), 4) for n in range(50)}
    assert len(damage) > 30
