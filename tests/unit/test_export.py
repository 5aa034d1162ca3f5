"""The exported folder computes what the trained model computes, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import resolve_model_data_config

from tests.published_folder import write_published_folder
from trainer.errors import DefectError
from trainer.export import prove_equal

IMAGES = [Image.effect_noise((64, 48), 60 + 20 * n).convert("RGB") for n in range(3)]


def test_exported_folder_is_equal(tmp_path: Path) -> None:
    model = write_published_folder(tmp_path / "published")
    predictor, proof = prove_equal(
        model, resolve_model_data_config(model), tmp_path / "published", IMAGES
    )
    assert proof.compared_images == 3
    assert proof.largest_logit_difference <= 1e-5
    assert proof.weights_bytes == (tmp_path / "published/model.safetensors").stat().st_size
    assert predictor.folder == tmp_path / "published"


@pytest.mark.parametrize(
    ("poison", "words"),
    [
        (0.01, "is not the trained one: logits differ by"),
        (float("nan"), "can't be used: .* not finite numbers, in head.fc.bias"),
    ],
)
def test_tampered_folder_is_refused(tmp_path: Path, poison: float, words: str) -> None:
    model = write_published_folder(tmp_path / "published")
    file = tmp_path / "published/model.safetensors"
    tensors = load_file(file)
    tensors["head.fc.bias"] = tensors["head.fc.bias"] + torch.tensor([0, 0, poison, 0, 0, 0])
    save_file(tensors, file)
    with pytest.raises(DefectError, match=words):
        prove_equal(model, resolve_model_data_config(model), tmp_path / "published", IMAGES)
