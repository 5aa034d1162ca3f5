"""The model to train: where its weights come from, and what is frozen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from trainer.config.groups import ModelConfig
from trainer.errors import ConfigError
from trainer.model.backbone import (
    Backbone,
    build,
    check_network,
    count_parameters,
    freeze_layers,
)

BATCH_NORM = "test_efficientnet"


def _random(model: str, **settings: Any) -> ModelConfig:
    return ModelConfig(model=model, pretrained=False, image_size=64, **settings)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as one downloads them: of a model with 1,000 classes."""
    file = tmp_path_factory.mktemp("weights") / "base.safetensors"
    save_file(timm.create_model("test_convnext", num_classes=1000).state_dict(), file)
    return file


def _step(model: Any, tune: Any) -> tuple[set[str], float]:
    """Take a large step; return which tensors changed, and the classifier's gradient norm."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    freeze_layers(model, tune)
    model.train(tune == "all")
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.rand(4, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    changed = {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}
    return changed, model.get_classifier().weight.grad.norm().item()


def test_tune_head_changes_the_classifier_alone() -> None:
    built = build(_random(BATCH_NORM), 6)
    changed, gradient = _step(built.model, "head")
    assert changed == {"classifier.weight", "classifier.bias"}
    assert gradient > 0
    total, trained = count_parameters(built.model)
    classifier: Any = built.model.get_submodule("classifier")
    assert trained == 6 * classifier.in_features + 6 < total


def test_tune_all_changes_batch_statistics_and_backbone() -> None:
    built = build(_random(BATCH_NORM), 6)
    changed, _ = _step(built.model, "all")
    assert {"bn1.running_mean", "conv_stem.weight", "classifier.weight"} <= changed
    total, trained = count_parameters(built.model)
    assert total == trained


def test_weights_file_gives_the_backbone_and_a_new_head(weights: Path) -> None:
    built = build(ModelConfig(model="test_convnext", weights=weights), 6)
    saved, loaded = load_file(weights), built.model.state_dict()
    assert saved.keys() == loaded.keys()
    head = {"head.fc.weight", "head.fc.bias"}
    for name in saved.keys() - head:
        assert torch.equal(loaded[name], saved[name]), name
    assert [loaded[name].shape[0] for name in sorted(head)] == [6, 6]
    assert built.weights_origin == "file"
    assert (built.architecture, built.base_model, built.license) == ("test_convnext", None, None)


def test_license_of_a_weights_file_is_what_the_user_says(weights: Path) -> None:
    config = ModelConfig(model="test_convnext.r160_in1k", weights=weights, license="mit")
    built = build(config, 6)
    assert (built.architecture, built.base_model, built.license) == ("test_convnext", None, "mit")


def test_random_weights_have_no_origin() -> None:
    built = build(_random("test_convnext.r160_in1k"), 6)
    assert (built.weights_origin, built.base_model, built.license) == ("random", None, None)


def test_whole_image_is_scaled_to_the_size_asked_for() -> None:
    settings = build(_random("test_convnext"), 6).data_config
    assert settings["input_size"] == (3, 64, 64)
    assert (settings["crop_mode"], settings["crop_pct"]) == ("squash", 1.0)


def test_model_of_fixed_size_is_built_in_the_size_asked_for() -> None:
    built = build(_random("test_vit"), 6)
    assert built.model(torch.zeros(1, 3, 64, 64)).shape == (1, 6)


@pytest.mark.parametrize(
    ("of", "model", "reason"),
    [
        ("test_efficientnet", "test_convnext", "it has no tensor classifier.weight, so it belongs"),
        ("test_convnext", "convnext_atto", "Error.s. in loading state_dict"),
        ("test_convnext", "test_vit", "it lacks cls_token and 26 more tensors"),
    ],
)
def test_weights_of_another_model(tmp_path: Path, of: str, model: str, reason: str) -> None:
    save_file(timm.create_model(of).state_dict(), tmp_path / "base.safetensors")
    says = rf"base\.safetensors does not fit --model {model}: {reason}"
    with pytest.raises(ConfigError, match=says) as caught:
        check_network(ModelConfig(model=model, weights=tmp_path / "base.safetensors"), 16)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("model", [BATCH_NORM, "test_byobnet"])
def test_one_image_cannot_be_normalized_over_a_batch(model: str) -> None:
    config = ModelConfig(model=model, pretrained=False, image_size=32)
    says = f"--batch-size 1 is too small: {model} normalizes over the batch"
    with pytest.raises(ConfigError, match=says):
        check_network(config, 1)
    check_network(config, 2)
    # A larger map has enough values of one image; a frozen backbone needs none.
    check_network(replace(config, image_size=64), 1)
    check_network(replace(config, tune="head"), 1)


@pytest.mark.parametrize("model", ["test_convnext", "test_vit", "test_mambaout", "test_nfnet"])
def test_networks_that_normalize_each_image_alone_take_one(model: str) -> None:
    check_network(ModelConfig(model=model, pretrained=False, image_size=64), 1)


def test_a_size_that_does_not_suit_the_network() -> None:
    config = ModelConfig(model="test_vit", pretrained=False, image_size=100)
    says = r"--image-size 100 does not suit --model test_vit: .*divisible by patch size"
    with pytest.raises(ConfigError, match=says):
        check_network(config, 2)


def test_large_images_pass_in_no_time_and_no_memory() -> None:
    # 64 GB, would the maps be computed.
    check_network(ModelConfig(model="test_vit", pretrained=False, image_size=2048), 2)


def test_weights_that_lack_a_layer(weights: Path, tmp_path: Path) -> None:
    tensors = load_file(weights)
    del tensors["stages.1.downsample.1.weight"]
    save_file(tensors, tmp_path / "part.safetensors")
    with pytest.raises(ConfigError, match=r"it lacks stages\.1\.downsample\.1\.weight\."):
        build(ModelConfig(model="test_convnext", weights=tmp_path / "part.safetensors"), 6)


def test_new_head_follows_from_the_seed(weights: Path) -> None:
    heads = []
    for _ in range(2):
        torch.manual_seed(5)
        built = build(ModelConfig(model="test_convnext", weights=weights), 6)
        heads.append((built.model.state_dict()["head.fc.weight"], torch.rand(3)))
    assert torch.equal(heads[0][0], heads[1][0])
    assert torch.equal(heads[0][1], heads[1][1])


def test_damaged_weights(tmp_path: Path) -> None:
    file = tmp_path / "damaged.safetensors"
    file.write_bytes(b"no safetensors")
    with pytest.raises(ConfigError, match=r"damaged\.safetensors does not fit"):
        build(ModelConfig(model="test_convnext", weights=file), 6)


@pytest.mark.parametrize("name", ["missing.safetensors", "pickled.pth"])
def test_weights_that_are_no_safetensors_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "pickled.pth").write_bytes(b"\x80\x02")
    with pytest.raises(ConfigError, match=f"{name}: there is no such safetensors file"):
        build(ModelConfig(model="test_convnext", weights=tmp_path / name), 6)


def test_unknown_model_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"no model convnext_bas.*Did you mean convnext_base"):
        build(_random("convnext_bas"), 6)


def test_unknown_tag_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no weights typo for it; known: test_convnext\.r160"):
        build(_random("test_convnext.typo"), 6)


def test_layer_scale_is_where_convnexts_blocks_begin() -> None:
    own, wanted = (
        build(_random("test_convnext"), 6),
        build(_random("test_convnext", layer_scale=0.1), 6),
    )

    def scales(built: Backbone) -> list[float]:
        parameters = built.model.named_parameters()
        return sorted({v for name, p in parameters if name.endswith("gamma") for v in p.tolist()})

    assert scales(own) == pytest.approx([1e-6])
    assert scales(wanted) == pytest.approx([0.1])
    with pytest.raises(ConfigError, match=r"vgg11 does not take these settings.*--layer-scale"):
        build(_random("vgg11", layer_scale=0.1), 6)


def test_drop_path_goes_to_models_that_have_it_only() -> None:
    built = build(_random("test_convnext", drop_path=0.5), 6)
    rates: list[Any] = [
        m.drop_prob for m in built.model.modules() if type(m).__name__ == "DropPath"
    ]
    assert max(rates) == pytest.approx(0.5)
    with pytest.raises(ConfigError, match=r"vgg11 does not take these settings.*--drop-path"):
        build(_random("vgg11", drop_path=0.5), 6)


def test_model_without_published_weights() -> None:
    with pytest.raises(ConfigError, match="--no-pretrained"):
        build(ModelConfig(model="test_mambaout"), 6)
