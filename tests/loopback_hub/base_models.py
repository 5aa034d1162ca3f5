"""Random weights with 1,000 classes on the loopback hub, where timm looks for pretrained ones."""

from __future__ import annotations

import tempfile
from pathlib import Path

import timm
import torch

from tests.loopback_hub.server import LoopbackHub


def put_base_model(
    hub: LoopbackHub, name: str = "convnext_atto.d2_in1k", seed: int = 0
) -> dict[str, torch.Tensor]:
    """Serve a model so that `timm.create_model(name, pretrained=True)` downloads it.

    Args:
        hub: where to serve it.
        name: timm's name with the tag of the pretrained weights.
        seed: of the random weights.

    Returns:
        The weights, by timm's names.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(name, pretrained=False)
    with tempfile.TemporaryDirectory() as folder:
        timm.models.save_for_hf(model, folder, safe_serialization=True)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    license = model.pretrained_cfg.get("license", "apache-2.0")
    files["README.md"] = f"---\nlibrary_name: timm\nlicense: {license}\n---\n".encode()
    # timm writes its hub id as `timm/` and means `timm/<name>`.
    place = model.pretrained_cfg["hf_hub_id"]
    hub.put("model", place + name if place.endswith("/") else place, files)
    weights: dict[str, torch.Tensor] = model.state_dict()
    return weights
