"""What one image costs: arithmetic of the network, and its time by the fastest engine."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field, ValidationError

from model_card.schema.base import Schema
from space.inference.engines.conversion import compared_pixels
from space.inference.engines.gpu import has_gpu
from space.inference.predictor import Predictor
from trainer.exporting.passport import median_seconds
from trainer.model.cost import forward_operations
from trainer.runtime import system
from trainer.runtime.files import replaced_whole

COST_FILE = "cost.json"


class Cost(Schema):
    """Cost of one image on one machine."""

    gmacs: float = Field(gt=0, description="billions of multiply-adds of a forward pass")
    ms: float = Field(gt=0, description="milliseconds of a single image, the network alone")
    engine: str = Field(description="library and precision")
    processor: str


def measured_cost(published: Path) -> Cost:
    """Return the cost of a published model; it is measured once and stored beside its folder.

    Raises:
        ModelError: the model can't be loaded.
    """
    file = published.parent / COST_FILE
    processor = _processor()
    try:
        stored = Cost.model_validate_json(file.read_bytes())
        if stored.processor == processor:
            return stored
    except (FileNotFoundError, ValidationError):
        # Not measured yet, or by an earlier version.
        pass
    predictor = Predictor.load(f"local-dir:{published}")
    size_px = predictor.facts.preprocessing.size_px
    cost = Cost(
        gmacs=forward_operations(predictor.model, size_px) / 2e9,
        ms=1000 * median_seconds(predictor, compared_pixels(size_px)),
        engine=predictor.engine.name,
        processor=processor,
    )
    with replaced_whole(file) as partial:
        partial.write_text(cost.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return cost


def _processor() -> str:
    device = torch.device("cuda" if has_gpu() else "cpu")
    return system.accelerator_name(device) or system.processor_name()
