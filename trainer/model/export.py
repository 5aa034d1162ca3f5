"""Write the folder that goes to the Hub, load it again, and prove that it computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from timm.data import create_transform

from model_card.schema.report import Export
from space.inference.predictor import ModelError, Predictor
from space.inference.tiling import TILES_AT_ONCE, pool
from trainer.errors import UserError

WEIGHTS_FILE = "model.safetensors"
# Same weights, same code, same machine: more than rounding is a fault.
LARGEST_DIFFERENCE = 1e-5


def write_model(
    model: torch.nn.Module,
    data_config: dict[str, Any],
    labels: Sequence[str],
    folder: Path,
    *,
    bit_depth: int = 16,
    tile: bool = False,
) -> None:
    """Write `model.safetensors` and timm's `config.json` into `folder`.

    Args:
        model: the network.
        data_config: timm's, for its transform.
        labels: of the network's outputs.
        folder: exists.
        bit_depth: significant bits of the data set's 16-bit images; timm does not use it.
        tile: whether long images are cut into squares before that transform.
    """
    # timm saves tensors as they lie in memory, and safetensors refuses channels_last.
    model = model.to("cpu").to(memory_format=torch.contiguous_format)
    timm.models.save_for_hf(
        model,
        str(folder),
        model_config={"label_names": list(labels), "bit_depth": bit_depth, "tile": tile},
        safe_serialization=True,
        data_config=data_config,
    )


def load_exported(folder: Path, device: torch.device | str = "cpu") -> Predictor:
    """Load `folder` as its users will.

    Raises:
        UserError: the Space would refuse it, as where training diverged.
    """
    try:
        return Predictor(folder, device)
    except ModelError as error:
        raise UserError(
            f"The exported model can't be used: {error}\nIf training diverged, start again with a "
            "lower --lr or with --clip-grad 1; else report this with the model's name and timm's "
            "version."
        ) from error


def prove_equal(
    model: torch.nn.Module,
    data_config: dict[str, Any],
    folder: Path,
    images: Sequence[Image.Image],
) -> tuple[Predictor, Export]:
    """Load `folder` as its users will, and compare its logits with the trained model's.

    Raises:
        UserError: they differ, or it can't be loaded; the folder must not be published.
    """
    predictor = load_exported(folder)
    transform = create_transform(**data_config, is_training=False)
    tiled = [predictor.tiles(image) for image in images]
    batch = torch.stack([transform(tile) for tiles in tiled for tile in tiles])
    model.eval()
    with torch.inference_mode():
        outputs = torch.cat([model(some) for some in torch.split(batch, TILES_AT_ONCE)])
        expected = pool(outputs, [len(tiles) for tiles in tiled])
    difference = (predictor.logits(images) - expected).abs().max().item()
    if not difference <= LARGEST_DIFFERENCE:
        raise UserError(
            f"The exported model in {folder} is not the trained one: logits differ by "
            f"{difference:.3g}. Report this with the model's name and timm's version."
        )
    return predictor, Export(
        compared_images=len(images),
        largest_logit_difference=difference,
        weights_bytes=(folder / WEIGHTS_FILE).stat().st_size,
    )
