"""The graph from pixels to outputs: exported, it computes what the network computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from timm.data import create_transform, resolve_model_data_config

from space.inference.engines.graph import (
    PixelGraph,
    channel_statistics,
    to_onnx,
)
from space.inference.engines.names import INPUT, output_names
from space.inference.engines.openvino_library import the_core
from space.inference.networks.stages import feature_stages

# Of each family, one of another normalization, and one whose stages all have the same scale.
NETWORKS = ["test_convnext", "test_efficientnet", "test_vit", "test_resnet"]
SIDE = 64
# The logarithm of a deviation near zero enlarges rounding.
TOLERANCE = 1e-4


def build(name: str) -> tuple[Any, dict[str, Any]]:
    options = {"img_size": SIDE} if "vit" in name else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model(name, num_classes=5, **options).eval()
    config = resolve_model_data_config(network) | {
        "input_size": (3, SIDE, SIDE),
        "mean": (0.4, 0.5, 0.6),
        "std": (0.2, 0.25, 0.3),
    }
    return network, config


def draw(images: int) -> np.ndarray:
    return np.random.default_rng(images).integers(0, 256, (images, SIDE, SIDE, 3), np.uint8)


def expected(network: Any, config: dict[str, Any], pixels: np.ndarray) -> list[np.ndarray]:
    """Return logits and statistics by timm's own normalization and forward pass."""
    normalize = create_transform(**config, is_training=False).transforms[-1]
    batch = normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255)
    stages = feature_stages(network)
    with torch.inference_mode():
        maps = network.forward_intermediates(batch, indices=stages, intermediates_only=True)
        outputs = [network(batch), *(channel_statistics(each) for each in maps)]
    return [output.numpy() for output in outputs]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_exported_graph_computes_what_the_network_computes(name: str) -> None:
    network, config = build(name)
    stages = feature_stages(network)
    assert len(stages) >= 2
    written = to_onnx(PixelGraph(network, config["mean"], config["std"], stages).eval(), SIDE, SIDE)
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    core = the_core()
    compiled = core.compile_model(
        core.read_model(written), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    assert [output.name for output in session.get_outputs()] == output_names(stages)
    for output, known in zip(compiled.outputs, output_names(stages), strict=True):
        assert known in output.names
    # The graph was traced with two images.
    for images in (1, 2, 3):
        pixels = draw(images)
        outputs = compiled({INPUT: pixels})
        by_engine = [
            session.run(None, {INPUT: pixels}),
            [outputs[name] for name in output_names(stages)],
        ]
        for found in by_engine:
            for ours, theirs in zip(found, expected(network, config, pixels), strict=True):
                assert ours.dtype == np.float32
                np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


def test_the_export_leaves_the_network_as_it_was() -> None:
    network, config = build("test_efficientnet")
    before = expected(network, config, draw(2))[0]
    to_onnx(PixelGraph(network.train(), config["mean"], config["std"]), SIDE, SIDE)
    assert not any(module.training for module in network.modules())
    np.testing.assert_array_equal(expected(network, config, draw(2))[0], before)


def test_a_graph_without_stages_has_the_logits_alone() -> None:
    network, config = build("test_convnext")
    graph = PixelGraph(network, config["mean"], config["std"]).eval()
    session = onnxruntime.InferenceSession(to_onnx(graph, SIDE, SIDE))
    [logits] = session.run(None, {INPUT: draw(2)})
    np.testing.assert_allclose(logits, expected(network, config, draw(2))[0], atol=TOLERANCE)


def test_size_and_type_of_the_input_are_fixed() -> None:
    network, config = build("test_convnext")
    graph = PixelGraph(network, config["mean"], config["std"]).eval()
    [taken] = onnxruntime.InferenceSession(to_onnx(graph, SIDE, SIDE)).get_inputs()
    assert (taken.name, taken.type, taken.shape[1:]) == (INPUT, "tensor(uint8)", [SIDE, SIDE, 3])
