"""Settings of a run that takes seconds, for tests that train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.config import DataConfig, ModelConfig, RecipeConfig, RunConfig, TrainConfig


def small_config(
    data_dir: Path | None,
    run_dir: Path,
    *,
    model: str = "test_convnext",
    share_images: bool = False,
    mixed_precision: Any = "no",
    **recipe: Any,
) -> TrainConfig:
    """Return settings for 32-pixel images and a tiny model; `recipe` overrides RecipeConfig."""
    settings: dict[str, Any] = {"epochs": 3, "batch_size": 8, "lr": 1e-3}
    return TrainConfig(
        data=DataConfig(
            data_dir=str(data_dir) if data_dir else None,
            validation_fraction=0.25,
            share_images=share_images,
        ),
        model=ModelConfig(model=model, pretrained=False, image_size=32),
        recipe=RecipeConfig(**settings | recipe),
        run=RunConfig(run_dir=run_dir, mixed_precision=mixed_precision),
    )
