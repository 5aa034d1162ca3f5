"""A model with random weights, as published: for what takes the same time with any weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from timm.data import resolve_model_data_config

from space.inference.core.arrays import Floats
from space.inference.core.decision import Costs, Decision, Rules
from space.inference.core.fingerprint import checksum
from space.inference.decision_file import save_decision
from space.inference.engines.graph import PixelGraph
from space.inference.engines.pytorch import PyTorchEngine
from space.inference.model_config import WEIGHTS_FILE
from space.inference.networks.stages import feature_stages
from space.inference.passport import PROVING_FORMAT, REPORT_FILE
from trainer.decision.novelty import fit_detector
from trainer.model.export import write_model

LABELS = ["Crazing", "Inclusion", "Patches", "Pitted", "Rolled", "Scratches"]
REFERENCE_IMAGES = 24


def random_network(name: str, side: int) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Return timm's network and its preprocessing, which scales the whole image to a square."""
    torch.manual_seed(0)
    network: torch.nn.Module = timm.create_model(name, num_classes=len(LABELS)).eval()
    config = resolve_model_data_config(network)
    config |= {"input_size": (3, side, side), "crop_mode": "squash", "crop_pct": 1.0}
    return network, config


def reference_pixels(side: int) -> np.ndarray:
    """Return the pixels that the novelty detector is fitted to, [image, row, column, 3]."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (REFERENCE_IMAGES, side, side, 3), np.uint8)


def random_decision(stages: Sequence[int], statistics: Sequence[Floats]) -> Decision:
    """Return a decision with a detector that is fitted to statistics of `reference_pixels`."""
    truth = np.arange(REFERENCE_IMAGES) % len(LABELS)
    rules = Rules(LABELS, 1.0, 0.95, 0.1, Costs(20, 2, 1, None), 4.0)
    return Decision(rules, fit_detector(stages, statistics, truth))


def write_published(name: str, side: int, folder: Path, *, bf16: bool) -> None:
    """Write a published folder.

    Args:
        name: timm's.
        side: of the input, in px.
        folder: does not exist yet.
        bf16: whether its report states that bfloat16 decides alike. Of random weights, nobody
            asks that.
    """
    folder.mkdir(parents=True)
    network, config = random_network(name, side)
    write_model(network, config, LABELS, folder)
    stages = feature_stages(network)
    graph = PixelGraph(network, config["mean"], config["std"], stages)
    seen = PyTorchEngine(graph, torch.device("cpu")).run(reference_pixels(side))
    save_decision(random_decision(stages, seen.statistics), folder)
    passport = {"format": PROVING_FORMAT, "precision": "bf16" if bf16 else "f32", "refused": None}
    facts = {
        "data": {"kind": "folder"},
        "exports": {"formats": [passport]},
        "export": {"files": {WEIGHTS_FILE: checksum(folder / WEIGHTS_FILE)}},
    }
    (folder / REPORT_FILE).write_text(json.dumps(facts), encoding="utf-8")
