"""Heatmaps point where the evidence is, leave the model alone, and lie over the right picture."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradientXActivation
from PIL import Image
from torch.nn.functional import interpolate

from space.inference import attribution
from space.inference.attribution import (
    COLORS,
    Explainer,
    above_mean,
    by_position,
    colored,
    make_explainer,
    stage_names,
)
from space.inference.core.tiling import stitch
from space.inference.predictor import Predictor
from space.ui import heatmap_panel
from tests.support.published_folder import write_published_folder
from trainer.model.tile_pooling import pool


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("model") / "published"
    write_published_folder(folder)
    return Predictor(folder)


def noise(seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (90, 70, 3), np.uint8)
    return Image.fromarray(pixels)


def test_a_heatmap_runs_from_zero_to_one_and_repeats(predictor: Predictor) -> None:
    explainer = Explainer(predictor)
    heat = explainer.explain(noise(), 2)
    side = predictor.prepare(noise()).shape[1]
    assert heat.shape == (side, side)
    assert (heat.min(), heat.max()) == (0, 1)
    assert np.array_equal(heat, explainer.explain(noise(), 2))
    assert not np.array_equal(heat, explainer.explain(noise(), 3))


def test_one_scale_alone_is_gradient_times_activation(predictor: Predictor) -> None:
    """By hand, on the last stage: with global pooling and one linear layer after it."""
    model = predictor.model
    batch = predictor.normalized(noise())
    stage = model.get_submodule(stage_names(model)[-1])
    seen: list[torch.Tensor] = []
    hook = stage.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    logit = model(batch)[0, 4]
    hook.remove()
    (gradient,) = torch.autograd.grad(logit, seen[0])
    expected = (gradient * seen[0]).sum(1)
    found = LayerGradientXActivation(model, stage).attribute(batch, 4)
    torch.testing.assert_close(by_position(found, seen[0].shape[1], 0), expected)


def test_the_served_model_is_left_alone(predictor: Predictor) -> None:
    explainer = Explainer(predictor)
    before = predictor.logits([noise()])
    explainer.explain(noise(1), 0)
    assert np.array_equal(predictor.logits([noise()]), before)
    assert not any(module._forward_hooks for module in predictor.model.modules())
    assert all(parameter.grad is None for parameter in predictor.model.parameters())
    ours, theirs = explainer.model.parameters(), predictor.model.parameters()
    assert all(a is b for a, b in zip(ours, theirs, strict=True))


def test_places_are_added_up_in_any_layout() -> None:
    values = torch.rand(1, 5, 3, 4)
    expected = values.sum(1)
    assert torch.equal(by_position(values, 5, 0), expected)
    torch.testing.assert_close(by_position(values.permute(0, 2, 3, 1), 5, 0), expected)
    square = torch.rand(1, 5, 3, 3)
    tokens = torch.cat([torch.ones(1, 2, 5), square.flatten(2).transpose(1, 2)], 1)
    torch.testing.assert_close(by_position(tokens, 5, 2), square.sum(1))


def test_only_what_lies_above_the_mean_is_hot() -> None:
    places = torch.tensor([[0.0, 1.0], [2.0, 5.0]])
    assert above_mean(places).tolist() == [[0, 0], [0, 1]]
    assert above_mean(torch.full((2, 2), 3.0)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        ("test_convnext", ["stages.1", "stages.2"]),
        ("test_efficientnet", ["blocks.2", "blocks.3"]),
        ("test_resnet", ["layer2", "layer3"]),
        ("test_vit", ["blocks.5"]),
    ],
)
def test_the_scales_before_the_last_explain(
    tmp_path: Path, architecture: str, names: list[str]
) -> None:
    write_published_folder(tmp_path / "model", architecture=architecture)
    explainer = make_explainer(Predictor(tmp_path / "model"))
    assert explainer is not None
    assert explainer.names == names
    assert stage_names(explainer.model)[-1] not in names[:-1]
    heat = explainer.explain(noise(), 1)
    assert np.isfinite(heat).all()
    assert 0 <= heat.min() <= heat.max() <= 1


@pytest.fixture(scope="module")
def tiling_predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("tiled") / "published"
    write_published_folder(folder, tile=True)
    predictor = Predictor(folder)
    # Far apart, the logits of tiles have shares in the answer that differ.
    with torch.no_grad():
        predictor.model.get_parameter("head.fc.weight").mul_(300)
    return predictor


@pytest.mark.parametrize("upright", [False, True])
def test_a_strip_has_one_heatmap_over_all_of_its_tiles(
    tiling_predictor: Predictor, upright: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Fewer than there are tiles: what does not fit in memory at once is the same in turns.
    monkeypatch.setattr(attribution, "TILES_EXPLAINED_AT_ONCE", 2)
    explainer = Explainer(tiling_predictor)
    pixels = np.random.default_rng(5).integers(0, 256, (40, 110, 3), np.uint8)
    strip = Image.fromarray(pixels.transpose(1, 0, 2) if upright else pixels)
    heat = explainer.explain(strip, 1)
    side = tiling_predictor.prepare(strip).shape[1]
    # Tiles of 40 px begin at 0, 35 and 70.
    expected = (70 * side // 40 + side, side)
    assert heat.shape == (expected if upright else expected[::-1])
    assert (heat.min(), heat.max()) == (0, 1)
    assert explainer.seen(strip).size == strip.size
    # Of each scale, by hand: gradient of the pooled logit times activation, of all tiles at once.
    batch = tiling_predictor.normalized(strip)
    layers = [explainer.model.get_submodule(name) for name in explainer.names]
    method = LayerGradientXActivation(lambda x: pool(explainer.model(x), [3]), layers)
    product = torch.ones((), dtype=torch.float64)
    for part in method.attribute(batch, 1):
        added = part.detach().double().sum(1, keepdim=True).relu()
        places = interpolate(added, (side, side), mode="bilinear")
        product = product * above_mean(torch.from_numpy(stitch(places[:, 0].numpy(), *strip.size)))
    torch.testing.assert_close(torch.from_numpy(heat), product / product.max(), atol=5e-3, rtol=0)


def test_what_is_cut_off_is_not_under_the_heatmap(predictor: Predictor) -> None:
    explainer = Explainer(predictor)
    facts = predictor.facts
    whole = replace(facts.preprocessing, crop_mode="squash", crop_pct=1.0)
    predictor.facts = replace(facts, preprocessing=whole)
    assert explainer.seen(noise()) is not None
    assert explainer.seen(noise()).size == (70, 90)
    cropped = replace(facts.preprocessing, crop_mode="center", crop_pct=0.9)
    predictor.facts = replace(facts, preprocessing=cropped)
    side = predictor.prepare(noise()).shape[1]
    assert explainer.seen(noise()).size == (side, side)


def test_cold_is_transparent_and_hot_is_bright() -> None:
    picture = colored(np.array([[0.0, 1.0]]))
    assert picture.mode == "RGBA"
    assert picture.getpixel((0, 0)) == (0, 0, 4, 0)
    assert picture.getpixel((1, 0)) == (252, 255, 164, 255)


def test_the_overlay_lies_where_the_network_looks(predictor: Predictor) -> None:
    explainer, facts = Explainer(predictor), predictor.facts
    photo, hot = Image.new("RGB", (3000, 1500)), np.ones((8, 8))
    side = facts.preprocessing.size_px[0]

    def opaque(mode: str, share: float) -> tuple[int, int, int, int] | None:
        """Return the box of the overlay that is not transparent."""
        changed = replace(facts.preprocessing, crop_mode=mode, crop_pct=share)
        predictor.facts = replace(facts, preprocessing=changed)
        overlay = explainer.overlay(photo, hot)
        assert overlay.size == (1024, 512)
        return overlay.getchannel("A").getbbox()

    assert opaque("squash", 1.0) == (0, 0, 1024, 512)
    assert opaque("border", 1.0) == (0, 0, 1024, 512)
    # The middle square of the photograph, and then its middle eighth.
    assert opaque("center", 1.0) == (256, 0, 768, 512)
    half = opaque("center", 0.5)
    predictor.facts = facts
    assert half is not None
    assert np.allclose(half, (384, 128, 640, 384), atol=1024 / side)


@pytest.mark.slow
def test_the_overlay_of_a_long_strip_is_scaled_like_the_strip(predictor: Predictor) -> None:
    """No picture of 17,000 px is sent, which WebP could not hold."""
    explainer, facts = Explainer(predictor), predictor.facts
    predictor.facts = replace(
        facts, preprocessing=replace(facts.preprocessing, crop_mode="squash", crop_pct=1.0)
    )
    overlay = explainer.overlay(Image.new("RGB", (20_000, 200)), np.ones((170, 17_000)))
    predictor.facts = facts
    html = heatmap_panel.panel(overlay, "Scratches", COLORS)
    [data] = re.findall(r"base64,([^\"]+)", html)
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (1024, 10)


def test_the_panel_escapes_names_and_shows_the_scale() -> None:
    html = heatmap_panel.panel(colored(np.ones((4, 4))), "<b>&Rost", COLORS)
    assert "&lt;b&gt;&amp;Rost" in html
    assert "<b>&Rost" not in html
    assert "linear-gradient(90deg, #000004, #320a5e," in html
    assert re.search(r'<input type="range" min="0" max="100"', html)
    assert "&lt;script" in heatmap_panel.problem("<script>")
