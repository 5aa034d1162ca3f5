"""Load a published classifier and predict images: the same code for evaluation and demo."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from .decision import DETECTOR_FILE, RULES_FILE, Decision, Prediction
from .engines.graph import channel_statistics
from .images.reader import ImageError, read_image
from .model_config import CONFIG_FILE, WEIGHTS_FILE, load_network, read_config
from .model_folder import ModelError, ModelFolder, shortened
from .tiling import TILES_AT_ONCE, cut, mean_of_tiles, pool

__all__ = [
    "ImageError",
    "ModelError",
    "Observation",
    "Prediction",
    "Predictor",
    "find_model_folder",
    "read_image",
]

logger = logging.getLogger(__name__)

PUBLISHED_FILES = [
    WEIGHTS_FILE,
    CONFIG_FILE,
    RULES_FILE,
    DETECTOR_FILE,
    "report.json",
    "figures/*",
    "examples/*",
]


@dataclass(frozen=True)
class Observation:
    """The outputs of one forward pass, all float32 on the CPU.

    Attributes:
        logits: the network's outputs, [image, class].
        statistics: texture statistics, one [image, statistic] per stage.
    """

    logits: torch.Tensor
    statistics: list[torch.Tensor]


def find_model_folder(model_id: str) -> Path:
    """Return the published folder that `hf-hub:user/name[@revision]` or `local-dir:path` names.

    Raises:
        ModelError: the id has neither form, or the download failed.
    """
    kind, _, place = model_id.strip().partition(":")
    if kind == "local-dir" and place:
        return Path(place).expanduser()
    if kind == "hf-hub" and place:
        repo_id, _, revision = place.partition("@")
        try:
            path = snapshot_download(
                repo_id, revision=revision or None, allow_patterns=PUBLISHED_FILES
            )
        # The client raises errors of three libraries here; the advice is the same for all.
        except Exception as error:
            raise ModelError(
                f"The model {shortened(repo_id, 200)} could not be downloaded from the Hub: "
                f"{shortened(error)}\n"
                "Check the name, the network and, for a private model, HF_TOKEN."
            ) from error
        return Path(path)
    raise ModelError(
        f"{shortened(model_id, 200)!r} is not a model id; write hf-hub:user/name or "
        "local-dir:path/to/folder."
    )


class Predictor:
    """A published classifier, ready to predict.

    Args:
        folder: a published folder: `model.safetensors`, timm's `config.json` and, unless it was
            published without, `decision.json` and `decision.safetensors`.
        device: where the network runs.

    Raises:
        ModelError: a file of the folder can't be used, or an output is not a finite number.
    """

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        self.folder = folder
        self.device = torch.device(device)
        files = ModelFolder(folder)
        config = read_config(files)
        self.labels = list(config.label_names)
        self.bit_depth, self.tile = config.bit_depth, config.tile
        self.decision = Decision.read(folder, self.labels)
        self.model: torch.nn.Module = load_network(files, config).to(self.device)
        self.transform = create_transform(
            **resolve_model_data_config(self.model), is_training=False
        )
        self._try_out()

    @classmethod
    def load(cls, model_id: str, device: torch.device | str = "cpu") -> Predictor:
        """Load what `hf-hub:user/name` or `local-dir:path` names; see `find_model_folder`."""
        predictor = cls(find_model_folder(model_id), device)
        if predictor.decision is None:
            logger.warning(
                "%s was published without %s: its confidence is not calibrated, and it rejects "
                "no image.",
                model_id,
                RULES_FILE,
            )
        return predictor

    def observe(
        self, images: Sequence[Image.Image], stages: Sequence[int] | None = None
    ) -> Observation:
        """Run the network on RGB images, once for each tile.

        Args:
            images: from `read_image`.
            stages: those to compute texture statistics for; by default those of the decision.

        Raises:
            ModelError: an output is not a finite number.
        """
        return self.observe_prepared([self.prepare(image) for image in images], stages)

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """Return the network's input for an RGB image: float32, [tile, 3, row, column]."""
        return torch.stack([self.transform(tile) for tile in self.tiles(image)])

    @torch.inference_mode()
    def observe_prepared(
        self, inputs: Sequence[torch.Tensor], stages: Sequence[int] | None = None
    ) -> Observation:
        """Run the network on what `prepare` returned for each image; otherwise as `observe`."""
        if stages is None:
            known = self.decision and self.decision.detector
            stages = list(known.stages) if known else []
        counts = [len(tiles) for tiles in inputs]
        seen = [
            self._observe_tiles(tiles, stages)
            for tiles in torch.split(torch.cat(list(inputs)), TILES_AT_ONCE)
        ]
        return Observation(
            pool(torch.cat([each.logits for each in seen]), counts),
            [
                mean_of_tiles(torch.cat(maps), counts)
                for maps in zip(*(each.statistics for each in seen), strict=True)
            ],
        )

    def _observe_tiles(self, tiles: torch.Tensor, stages: Sequence[int]) -> Observation:
        batch = tiles.to(self.device)
        model: Any = self.model
        if stages:
            features, maps = model.forward_intermediates(batch, indices=list(stages))
            logits = model.forward_head(features)
        else:
            logits, maps = model(batch), []
        seen = Observation(logits.float().cpu(), [channel_statistics(stage) for stage in maps])
        if not all(torch.isfinite(values).all() for values in (seen.logits, *seen.statistics)):
            raise ModelError(
                f"The model in {self.folder} computes non-finite outputs for this image: its "
                "weights are damaged. Publish it again."
            )
        return seen

    def tiles(self, image: Image.Image) -> list[Image.Image]:
        """Return the network's input pictures for an image: its squares, or the whole image."""
        return cut(image) if self.tile else [image]

    def predict_from(self, observation: Observation) -> list[Prediction]:
        """Return the prediction for each observed image; without a decision, plain softmax."""
        if self.decision is not None:
            return self.decision.apply(observation.logits, observation.statistics)
        rows = observation.logits.double().softmax(dim=1).tolist()
        return [Prediction(dict(zip(self.labels, row, strict=True))) for row in rows]

    def logits(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Return the network's outputs for RGB images: float32, [image, class], on the CPU."""
        return self.observe(images).logits

    def predict(self, images: Sequence[Image.Image]) -> list[Prediction]:
        """Return the prediction for each RGB image (from `read_image`)."""
        return self.predict_from(self.observe(images))

    def _try_out(self) -> None:
        """Predict one gray image, so that a broken model fails at the start.

        Raises:
            ModelError: the prediction fails.
        """
        try:
            self.predict([Image.new("RGB", (64, 64), "grey")])
        except ModelError:
            raise
        # Each network fails in its own way when its files do not match.
        except Exception as error:
            raise ModelError(
                f"The model in {self.folder} can't predict an image: {shortened(error)}\n"
                "Its files do not match. Publish it again."
            ) from error
