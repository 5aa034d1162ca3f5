"""Export the model to the folder for the Hub, load it again, and verify that outputs are equal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform

from model_card.schema.report import Export
from space.inference.core.tiling import TILES_AT_ONCE
from space.inference.engines.names import EngineName
from space.inference.predictor import ModelError, Predictor
from trainer.errors import UserError
from trainer.model.tile_pooling import pool

WEIGHTS_FILE = "model.safetensors"
# With the same weights, code and machine, a larger difference than rounding is a fault.
LARGEST_DIFFERENCE = 1e-5


def write_model(
    model: torch.nn.Module,
    data_config: dict[str, Any],
    labels: Sequence[str],
    folder: Path,
    *,
    bit_depth: int = 16,
    tile: bool = False,
    multi_label: bool = False,
) -> None:
    """Write `model.safetensors` and timm's `config.json` into `folder`.

    Args:
        model: the network.
        data_config: timm's description of the preprocessing.
        labels: class names, in the order of the outputs.
        folder: an existing one.
        bit_depth: significant bits of the dataset's 16-bit images; timm ignores it.
        tile: whether long images are cut into squares before preprocessing.
        multi_label: whether each class has a sigmoid, so that an image has several classes.
    """
    # timm saves tensors in their memory layout, and safetensors refuses channels_last.
    model = model.to("cpu").to(memory_format=torch.contiguous_format)
    timm.models.save_for_hf(
        model,
        str(folder),
        model_config={"label_names": list(labels), "bit_depth": bit_depth, "tile": tile}
        | ({"multi_label": True} if multi_label else {}),
        safe_serialization=True,
        data_config=data_config,
    )


def load_exported(
    folder: Path, device: torch.device | str = "cpu", engine: EngineName = "pytorch"
) -> Predictor:
    """Load `folder` with the code that users load it with.

    Raises:
        UserError: the Space would refuse it, for example because training diverged.
    """
    try:
        return Predictor(folder, device, engine)
    except ModelError as error:
        raise UserError(
            f"The exported model can't be used: {error}\nIf training diverged, start again with a "
            "lower --lr or with --clip-grad 1; otherwise report this with the model's name and "
            "timm's version."
        ) from error


def verify_export(
    model: torch.nn.Module,
    data_config: dict[str, Any],
    folder: Path,
    images: Sequence[Image.Image],
) -> tuple[Predictor, Export]:
    """Load `folder` as users do, and compare its logits with those of the trained model.

    Raises:
        UserError: they differ, or the folder can't be loaded; it must not be published.
    """
    predictor = load_exported(folder)
    transform = create_transform(**data_config, is_training=False)
    tiled = [predictor.tiles(image) for image in images]
    batch = torch.stack([transform(tile) for tiles in tiled for tile in tiles])
    model.eval()
    with torch.inference_mode():
        outputs = torch.cat([model(chunk) for chunk in torch.split(batch, TILES_AT_ONCE)])
        expected = pool(outputs, [len(tiles) for tiles in tiled])
    difference = float(np.abs(predictor.logits(images) - expected.numpy()).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise UserError(
            f"The exported model in {folder} does not equal the trained model: logits differ by "
            f"{difference:.3g}. Report this with the model's name and timm's version."
        )
    return predictor, Export(
        compared_images=len(images),
        largest_logit_difference=difference,
        weights_bytes=(folder / WEIGHTS_FILE).stat().st_size,
    )
