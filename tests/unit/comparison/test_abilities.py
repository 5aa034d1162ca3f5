"""Abilities of network families, known before training and without weights."""

from __future__ import annotations

import pytest

from trainer.comparison import abilities
from trainer.comparison.abilities import NO_HEATMAP, abilities_of
from trainer.config.groups import ModelConfig

QUICK = ("convnext_atto", "hgnetv2_b0", "vit_base_patch16_siglip_224")
SLOW = (
    *("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "caformer_s18"),
    *("mobilenetv4_conv_small", "vit_small_patch14_dinov2", "vit_small_patch16_dinov3"),
)


@pytest.mark.parametrize(
    "model", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_each_family_lists_stages_for_heatmaps_and_novelty(model: str) -> None:
    """A head of SigLIP takes a parameter as its input, which broke the count of operations."""
    found = abilities_of(ModelConfig(model=model, pretrained=False, image_size=112))
    assert found.missing == []
    assert found.operations > 0


def test_a_network_without_stages_is_said_to_give_no_heatmaps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(abilities, "stage_names", lambda model: [])
    found = abilities_of(ModelConfig(model="test_convnext", pretrained=False, image_size=32))
    assert found.missing == [NO_HEATMAP]
