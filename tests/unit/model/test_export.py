"""The exported folder computes what the trained model computes, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import resolve_model_data_config

from tests.support.published_folder import write_published_folder
from trainer.config.groups import ModelConfig
from trainer.errors import UserError
from trainer.model.backbone import build
from trainer.model.export import verify_export, write_model

IMAGES = [Image.effect_noise((64, 48), 60 + 20 * n).convert("RGB") for n in range(3)]


def test_exported_folder_is_equal(tmp_path: Path) -> None:
    model = write_published_folder(tmp_path / "published")
    predictor, proof = verify_export(
        model, resolve_model_data_config(model), tmp_path / "published", IMAGES
    )
    assert proof.compared_images == 3
    assert proof.largest_logit_difference <= 1e-5
    assert proof.weights_bytes == (tmp_path / "published/model.safetensors").stat().st_size
    assert predictor.folder == tmp_path / "published"


@pytest.mark.parametrize(
    ("poison", "words"),
    [
        (0.01, "does not equal the trained model: logits differ by"),
        (float("nan"), "can't be used: .* not finite numbers, in head.fc.bias"),
    ],
)
def test_tampered_folder_is_refused(tmp_path: Path, poison: float, words: str) -> None:
    model = write_published_folder(tmp_path / "published")
    file = tmp_path / "published/model.safetensors"
    tensors = load_file(file)
    tensors["head.fc.bias"] = tensors["head.fc.bias"] + torch.tensor([0, 0, poison, 0, 0, 0])
    save_file(tensors, file)
    with pytest.raises(UserError, match=words):
        verify_export(model, resolve_model_data_config(model), tmp_path / "published", IMAGES)


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(model="test_convnext", pretrained=False, layer_scale=0.1, drop_path=0.2),
        ModelConfig(model="test_vit", pretrained=False, image_size=64),
        ModelConfig(model="test_efficientnet", pretrained=False, drop_path=0.2),
    ],
    ids=lambda config: config.model,
)
def test_options_that_training_sets_are_served(tmp_path: Path, config: ModelConfig) -> None:
    """The Space builds the network from `config.json` alone, by a strict schema."""
    built = build(config, 6)
    write_model(built.model, built.data_config, list("abcdef"), tmp_path)
    _, proof = verify_export(built.model, built.data_config, tmp_path, IMAGES)
    assert proof.largest_logit_difference <= 1e-5
