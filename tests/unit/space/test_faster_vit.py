"""FasterViT behaves as timm's networks do; its pickled weights are out of reach."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from space.inference.attribution import stage_names
from space.inference.core.errors import ModelError
from space.inference.networks import registry
from space.inference.networks.faster_vit import TimmFasterViT
from space.inference.networks.stages import feature_stages
from trainer.comparison.abilities import abilities_of
from trainer.config.groups import ModelConfig
from trainer.errors import ConfigError
from trainer.model import backbone

NAME = "faster_vit_0_224"
CONFIG = ModelConfig(model=NAME, pretrained=False)


@pytest.fixture(scope="module")
def network() -> Iterator[Any]:
    assert registry.is_network(NAME)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield timm.create_model(NAME, num_classes=3).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def second_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a layer's tensors under the second name that they have in NVIDIA's files."""
    return {
        name.replace("to_global_feature.pos", "pos_embed"): each.clone()
        for name, each in tensors.items()
        if "to_global_feature.pos." in name
    }


@pytest.mark.slow
def test_it_computes_what_the_package_computes(network: Any, images: torch.Tensor) -> None:
    """NVIDIA's network with the same tensors, built as its function faster_vit_0_224 does."""
    [nvidias] = TimmFasterViT.__bases__
    original = nvidias(
        dim=64, in_dim=64, depths=[2, 3, 6, 5], num_heads=[2, 4, 8, 16], window_size=[7] * 4,
        ct_size=2, mlp_ratio=4, hat=[False, False, True, False], num_classes=3,
    ).eval()  # fmt: skip
    tensors = network.state_dict()
    tensors |= second_names(tensors)
    original.load_state_dict(tensors)
    with torch.no_grad():
        assert torch.equal(network(images), original(images))


@pytest.mark.slow
def test_maps_and_logits_are_those_of_one_pass(network: Any, images: torch.Tensor) -> None:
    stages = feature_stages(network)
    assert stages == [0, 1]
    assert stage_names(network) == ["levels.0", "levels.1", "levels.3"]
    with torch.no_grad():
        last, maps = network.forward_intermediates(images, indices=stages)
        assert torch.equal(network.forward_head(last), network(images))
        features = network.forward_head(last, pre_logits=True)
        assert torch.equal(network.get_classifier()(features), network(images))
    shapes = [tuple(each.shape[1:]) for each in maps]
    assert shapes == [(128, 28, 28), (256, 14, 14)]
    listed = [(info["num_chs"], info["reduction"]) for info in network.feature_info]
    assert listed[:2] == [(128, 8), (256, 16)]


@pytest.mark.slow
def test_a_file_starts_it_and_is_loaded_whole(network: Any, tmp_path: Path) -> None:
    file = tmp_path / "converted.safetensors"
    tensors = network.state_dict()
    save_file(tensors | second_names(tensors), file)
    started = backbone.build(replace(CONFIG, pretrained=True, weights=file), classes=3)
    assert started.weights_origin == "file"
    assert started.license == "nvidia-source-code-license-nc"
    for name, each in started.model.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(each, tensors[name]), name


@pytest.mark.slow
def test_its_published_weights_are_never_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a pickle was read or downloaded")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(ConfigError, match="no published weights that can be loaded"):
        backbone.check_network(replace(CONFIG, pretrained=True), 2)
    with pytest.raises(ConfigError, match="no published weights that can be loaded"):
        backbone.build(replace(CONFIG, pretrained=True), classes=3)


@pytest.mark.slow
def test_a_size_that_its_windows_do_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="--image-size 256 does not suit"):
        backbone.check_network(replace(CONFIG, image_size=256), 2)


@pytest.mark.slow
def test_it_lacks_nothing() -> None:
    found = abilities_of(replace(CONFIG, image_size=224))
    assert found.missing == []
    assert found.operations > 6e9


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    importing = builtins.__import__

    def without(name: str, *rest: Any, **others: Any) -> Any:
        if "faster_vit" in name or (rest and rest[2] == ("faster_vit",)):
            raise ModuleNotFoundError("No module named 'fastervit'", name="fastervit")
        return importing(name, *rest, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModelError, match="pip install fastervit"):
        registry.is_network(NAME)
    with pytest.raises(ConfigError, match=f"--model {NAME}: .*non-commercial use only"):
        backbone.check_network(CONFIG, 2)
